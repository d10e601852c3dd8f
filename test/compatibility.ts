import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { z } from 'zod'
import { type CaseResult, compatibilityPage } from './compatibility-page.ts'

/** Runs the suites of the log on every driver, and writes what came out to `docs/compatibility.md`. */
const root = fileURLToPath(new URL('..', import.meta.url))
const files = ['memory/memory-log', 'kafkajs/kafkajs-log', 'platformatic/platformatic-log'].map((name) => `test/adapters/${name}.test.ts`)

const report = z.object({
  numFailedTests: z.number(),
  testResults: z.array(
    z.object({
      assertionResults: z.array(
        z.object({
          ancestorTitles: z.array(z.string()),
          title: z.string(),
          status: z.enum(['passed', 'failed', 'skipped', 'pending', 'todo']),
        }),
      ),
    }),
  ),
})

const folder = mkdtempSync(join(tmpdir(), 'trunkline-compatibility-'))
const output = join(folder, 'report.json')
const { status } = spawnSync('npx', ['vitest', 'run', '--reporter=default', '--reporter=json', `--outputFile.json=${output}`, ...files], {
  cwd: root,
  stdio: 'inherit',
  env: { ...process.env, TRUNKLINE_STACK: 'real' },
})
if (status !== 0) throw new Error('A case failed, so that nothing was written.')
const { testResults } = report.parse(JSON.parse(readFileSync(output, 'utf8')))
rmSync(folder, { recursive: true })
const results = testResults.flatMap(({ assertionResults }) => assertionResults.flatMap(resultOf))
writeFileSync(join(root, 'docs/compatibility.md'), compatibilityPage(results))
console.log(`docs/compatibility.md: ${results.length} results.`)

/** Of the cases in the suites; what an adapter tests beside them is not compared. */
function resultOf({ ancestorTitles, title, status: outcome }: { ancestorTitles: string[]; title: string; status: string }): CaseResult[] {
  const suite = ancestorTitles.map((ancestor) => /^(log \w+): (\w+)$/.exec(ancestor)).find((match) => match !== null)
  if (suite === undefined) return []
  const [, name = '', adapter = ''] = suite
  const reason = /^(.*) \[(.*)\]$/.exec(title)
  const skipped = outcome === 'passed' ? undefined : (reason?.[2] ?? 'no reason')
  return [{ suite: name, adapter, title: reason?.[1] ?? title, skipped }]
}
