import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, inject, test } from 'vitest'
import { generateContracts } from '../src/faces/cli/schema-generate.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
const page = readFileSync(join(root, 'docs/testing.md'), 'utf8')
const run = promisify(execFile)

test.concurrent('what the page on testing prints compiles, and its tests pass', { timeout: 120_000 }, async ({
  expect,
  onTestFinished,
}) => {
  const folder = await project()
  onTestFinished(() => rm(folder, { recursive: true, force: true }))

  const compiling = run(join(root, 'node_modules/.bin/tsc'), ['-p', folder], { timeout: 60_000 })
  const [compiled, tested] = await Promise.all([
    compiling.catch((error: { stdout: string }) => error),
    runTests([join(folder, 'counter.test.ts')]),
  ])

  expect(compiled.stdout.split('\n').filter((line) => line.startsWith(folder) || line.includes('trunkline-testing-doc'))).toEqual([])
  expect(tested).toMatch(/# pass 2\n# fail 0/)
})

test.concurrent("the example's own test passes, without a test runner of ours", { timeout: 120_000 }, async ({ expect }) => {
  const tested = await runTests([join(root, 'examples/order-fulfilment/stock/service.test.ts')])

  expect(tested).toMatch(/# pass 4\n# fail 0/)
})

test('every block of the page is a file of its project', () => {
  expect(page.match(/^```[a-z]+$/gm)?.length).toBe(files().length)
})

function files(): { readonly name: string; readonly text: string }[] {
  const blocks = page.matchAll(/<!-- file: (\S+) -->\n```ts\n([\s\S]*?)```/g)
  return [...blocks].map(([, name = '', text = '']) => ({ name, text }))
}

async function project(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'trunkline-testing-doc-'))
  generateContracts({ schemas: join(root, 'schemas'), out: join(folder, 'contracts') })
  for (const { name, text } of files()) await writeFile(join(folder, name), text)
  await writeFile(join(folder, 'package.json'), JSON.stringify({ type: 'module' }))
  const compilerOptions = { typeRoots: [join(root, 'node_modules/@types')] }
  await writeFile(join(folder, 'tsconfig.json'), JSON.stringify({ extends: join(root, 'tsconfig.json'), compilerOptions, include: ['.'] }))
  return folder
}

async function runTests(paths: readonly string[]): Promise<string> {
  const flags = ['--import', join(root, 'test/kit/package-from-source.ts'), '--test', '--test-reporter=tap']
  const env = { PATH: process.env['PATH'], TRUNKLINE_TEST_DATABASE_URL: inject('databaseUrl') }
  const { stdout } = await run(process.execPath, [...flags, ...paths], { env, timeout: 90_000 })
  return stdout
}
