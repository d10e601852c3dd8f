/** What one adapter made of one case. */
export interface CaseResult {
  readonly suite: string
  readonly title: string
  readonly adapter: string
  /** Why it was skipped; `undefined` when it passed. */
  readonly skipped: string | undefined
}

const ADAPTERS = ['memory', 'kafkajs', 'platformatic']

/** `docs/compatibility.md`, from the results of a run in which nothing failed. */
export function compatibilityPage(results: readonly CaseResult[]): string {
  const suites = [...new Set(results.map(({ suite }) => suite))].toSorted()
  const of = (suite: string, adapter: string): CaseResult[] => results.filter((one) => one.suite === suite && one.adapter === adapter)
  const passed = (suite: string, adapter: string): number => of(suite, adapter).filter(({ skipped }) => skipped === undefined).length
  const total = (adapter: string): number => suites.reduce((sum, suite) => sum + passed(suite, adapter), 0)
  const skipped = results.filter((one) => one.skipped !== undefined)
  return [
    '# The drivers of the log, by their suites',
    '',
    '<!-- Written by "npm run compatibility"; test/compatibility.test.ts holds it against the suites. -->',
    '',
    'One suite per port, run on every driver: `test/conformance/log-*.ts`. A driver leaves a case out only with a written reason (`test/conformance/log-cases.ts`). Kafka is Apache Kafka 4.3.1.',
    '',
    `| Suite | Cases | ${ADAPTERS.join(' | ')} |`,
    '|---|---|---|---|---|',
    ...suites.map(
      (suite) => `| ${suite} | ${of(suite, 'memory').length} | ${ADAPTERS.map((adapter) => passed(suite, adapter)).join(' | ')} |`,
    ),
    `| **all** | ${suites.reduce((sum, suite) => sum + of(suite, 'memory').length, 0)} | ${ADAPTERS.map(total).join(' | ')} |`,
    '',
    '## Left out',
    '',
    '| Driver | Case | Why |',
    '|---|---|---|',
    ...skipped.map(({ adapter, title, skipped: reason }) => `| ${adapter} | ${title} | ${reason} |`),
    '',
    ...suites.flatMap((suite) => [
      `## ${suite}`,
      '',
      `| Case | ${ADAPTERS.join(' | ')} |`,
      '|---|---|---|---|',
      ...of(suite, 'memory').map(
        ({ title }) => `| ${title} | ${ADAPTERS.map((adapter) => markOf(of(suite, adapter), title)).join(' | ')} |`,
      ),
      '',
    ]),
  ].join('\n')
}

function markOf(results: readonly CaseResult[], title: string): string {
  const found = results.find((one) => one.title === title)
  if (found === undefined) return 'not run'
  return found.skipped === undefined ? 'yes' : 'left out'
}
