import { homedir } from 'node:os'
import { isAbsolute, join } from 'node:path'

/** Where fetched servers are kept between projects: the user's cache directory. @see the XDG base directory specification */
export function cacheDirectory(env: NodeJS.ProcessEnv): string {
  const configured = env['XDG_CACHE_HOME']
  const root = configured !== undefined && isAbsolute(configured) ? configured : join(homedir(), '.cache')
  return join(root, 'trunkline')
}
