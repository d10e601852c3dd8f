import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, onTestFinished, test } from 'vitest'
import { folderOf } from './core/contract/schema-folder.ts'
import { createTestDatabase } from './kit/database.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
const page = readFileSync(join(root, 'docs/contracts.md'), 'utf8')
const packageFromSource = join(root, 'test/kit/package-from-source.ts')

/** What a comment of the page says about the block after it. */
interface Step {
  readonly does: string
  readonly block: string
}

test('a reader who does what the page says gets what it says, from the first version to the upcaster', { timeout: 120_000 }, async () => {
  const folder = newProject()
  const database = await createTestDatabase()
  onTestFinished(() => database.drop())
  const failures: unknown[] = []
  let stdout = ''

  for (const { does, block } of steps()) {
    const [what = '', detail = ''] = does.split(': ')
    if (what === 'released') release(folder)
    else if (what === 'printed') failures.push(...(stdout.trimEnd() === block ? [] : [{ printed: stdout, page: block }]))
    else if (what === 'file') write(folder, detail, block)
    else stdout = run(folder, block, Number(detail.replace('ends with ', '')))
    // Each program is compiled in the state in which the reader has it.
    failures.push(...(detail.startsWith('src/') ? compilerErrors(folder) : []))
  }
  write(folder, 'src/main.ts', program)
  const { stdout: effects, stderr } = spawnSync(process.execPath, ['--import', packageFromSource, 'src/main.ts'], {
    cwd: folder,
    encoding: 'utf8',
    env: { PATH: process.env['PATH'], DATABASE_URL: database.url },
    timeout: 30_000,
  })

  expect([...failures, ...compilerErrors(folder)]).toEqual([])
  expect({ effects, stderr }).toEqual({ effects: '[["one",1500],["three",2000],["two",250]]\n', stderr: '' })
})

test('every block of the page is written, run or compared', () => {
  expect(steps().filter(({ block }) => block !== '').length).toBe(page.match(/^```[a-z]+$/gm)?.length)
})

test('the page explains every rule that the command can find', () => {
  const judges = readdirSync(join(root, 'src/core/contract')).filter((name) => /^(lint|compatibility)\.ts$/.test(name))
  const sources = [...judges.map((name) => `src/core/contract/${name}`), 'src/faces/cli/schema-check.ts', 'src/faces/cli/released-files.ts']
  const rules = sources.flatMap((path) =>
    [...readFileSync(join(root, path), 'utf8').matchAll(/'([A-Z]+(?:_[A-Z]+)+)'/g)].map(([, rule = '']) => rule),
  )
  const explained = rules.filter((rule) => rule !== 'BASE_UNKNOWN')

  expect(new Set(explained).size).toBeGreaterThan(12)
  expect(explained.filter((rule) => !page.includes(`\`${rule}\``))).toEqual([])
})

/** Sends the versions that three builds would have sent, and prints what the handler of the page made of them. */
const program = `
import { createBackbone } from 'trunkline'
import config from '../trunkline.config.ts'
import { OrderShippedV1, OrderShippedV2 } from './contracts/orders.ts'
import { OrderShipped, shippingService } from './ship.ts'

const backbone = createBackbone({
  service: 'shipping',
  ...config,
  kafka: { driver: 'memory' },
  database: { connectionString: process.env['DATABASE_URL'] ?? '' },
  logger: false,
})
shippingService(backbone)
await backbone.transaction((tx) => tx.query('create table shipped (order_id text, grams int)'))
await backbone.start()
let left = 3
const applied = new Promise<void>((resolve) => backbone.diagnostics.on(({ name }) => name === 'delivery.applied' && --left === 0 && resolve()))
await backbone.transaction((tx) =>
  backbone.publish(tx, [
    OrderShippedV1({ orderId: 'one', weightKg: 1.5 }),
    OrderShippedV2({ orderId: 'two', weightKg: 0.25 }),
    OrderShipped({ orderId: 'three', weightGrams: 2000 }),
  ]),
)
await applied
const { rows } = await backbone.transaction((tx) => tx.query('select order_id, grams from shipped order by order_id'))
console.log(JSON.stringify(rows.map((row) => [row['order_id'], row['grams']])))
await backbone.stop()
`

function steps(): Step[] {
  const pattern = /<!-- ([^>]+) -->\n(?:```[a-z]+\n([\s\S]*?)\n```)?/g
  return [...page.matchAll(pattern)].map(([, does = '', block = '']) => ({ does, block }))
}

function newProject(): string {
  const compilerOptions = { typeRoots: [join(root, 'node_modules/@types')] }
  const folder = folderOf({
    'package.json': { type: 'module' },
    'tsconfig.json': { extends: join(root, 'tsconfig.json'), compilerOptions, include: ['src', 'trunkline.config.ts'] },
    // So that the first check has a folder to compare with.
    'schemas/README.md': 'Contracts.',
  })
  git(folder, 'init', '--quiet', '--initial-branch=main')
  release(folder)
  return folder
}

/** Merged into the main branch. */
function release(folder: string): void {
  git(folder, 'add', '--all')
  git(folder, 'commit', '--quiet', '--message=release')
  git(folder, 'update-ref', 'refs/remotes/origin/main', 'HEAD')
}

function git(folder: string, ...args: string[]): void {
  execFileSync('git', ['-c', 'user.name=t', '-c', 'user.email=t@example.org', ...args], { cwd: folder })
}

function write(folder: string, path: string, text: string): void {
  mkdirSync(dirname(join(folder, path)), { recursive: true })
  writeFileSync(join(folder, path), `${text}\n`)
}

/** @returns what all the lines printed */
function run(folder: string, lines: string, exitCode: number): string {
  return lines
    .split('\n')
    .map((line) => {
      const [npx, trunkline, ...args] = line.split(' ')
      const { status, stdout, stderr } = spawnSync(
        process.execPath,
        ['--import', packageFromSource, join(root, 'src/faces/cli/bin.ts'), ...args],
        {
          cwd: folder,
          encoding: 'utf8',
        },
      )
      expect({ line, npx, trunkline, status, stderr }).toEqual({
        line,
        npx: 'npx',
        trunkline: 'trunkline',
        status: exitCode,
        stderr: expect.any(String),
      })
      return stdout
    })
    .join('')
}

/** What the compiler says about the project; what it says about our own sources is for another check. */
function compilerErrors(folder: string): string[] {
  const { stdout } = spawnSync(join(root, 'node_modules/.bin/tsc'), ['-p', '.'], { cwd: folder, encoding: 'utf8' })
  return stdout.split('\n').filter((line) => /^(src|trunkline\.config)/.test(line))
}
