import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { Config } from '../../config.ts'
import { ConfigurationError, messageOf } from '../../foundation/errors.ts'

const NAME = 'trunkline.config.ts'

/**
 * Loads a project's `trunkline.config.ts` by Node's own type stripping.
 *
 * @returns an empty configuration where there is no such file
 * @throws ConfigurationError `CONFIG_FILE_INVALID`: it cannot be loaded, or exports no configuration
 */
export async function loadConfigFile(directory: string): Promise<Config> {
  const path = join(directory, NAME)
  if (!existsSync(path)) return {}
  const config = await importDefault(path)
  if (isConfig(config)) return config
  throw new ConfigurationError('CONFIG_FILE_INVALID', `${NAME} exports no configuration. End it with: export default defineConfig({ … }).`)
}

async function importDefault(path: string): Promise<unknown> {
  try {
    const module: unknown = await import(pathToFileURL(path).href)
    return typeof module === 'object' && module !== null ? Reflect.get(module, 'default') : undefined
  } catch (error) {
    throw new ConfigurationError('CONFIG_FILE_INVALID', `${NAME} cannot be loaded: ${messageOf(error)}. Correct it there.`, {}, error)
  }
}

/** Each command reads the options that it needs and checks them by their schema. */
function isConfig(value: unknown): value is Config {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
