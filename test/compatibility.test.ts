import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { logSkips } from './conformance/log-cases.ts'

const page = readFileSync(new URL('../docs/compatibility.md', import.meta.url), 'utf8')
const suites = ['admin', 'consumer', 'group', 'producer', 'records']
/** The one place that a title leaves open. */
const codec = /\$\{codec\}/
const codecs = ['gzip', 'snappy', 'lz4', 'zstd']

/** The cases as the source names them: all are made by one function, with a text that stands there. */
function titlesOf(suite: string): string[] {
  const source = readFileSync(new URL(`./conformance/log-${suite}.ts`, import.meta.url), 'utf8')
  const titles = [...source.matchAll(/^ {4,6}test\((['`])(.*)\1, async/gm)].map((match) => match[2] ?? '')
  expect(titles).toHaveLength([...source.matchAll(/\btest\(/g)].length)
  return titles.flatMap((title) => (codec.test(title) ? codecs.map((name) => title.replace(codec, name)) : [title]))
}

function rowsUnder(heading: string): string[][] {
  const section = page.split(`\n## ${heading}\n`)[1]?.split('\n## ')[0] ?? ''
  const rows = section.split('\n').filter((line) => line.startsWith('| '))
  return rows.slice(1).map((row) => row.split(' | ').map((cell) => cell.replace(/^\| | \|$/g, '')))
}

test.each(suites)('the page has every case of the suite log-%s, and no driver that did not run it', (suite) => {
  const rows = rowsUnder(`log ${suite}`)

  expect(new Set(rows.map(([title]) => title))).toEqual(new Set(titlesOf(suite)))
  for (const [title = '', ...marks] of rows) {
    const expected = Object.values(logSkips).map((skips) => (skips[title] === undefined ? 'yes' : 'left out'))
    expect([title, ...marks]).toEqual([title, ...expected])
  }
})

test('the page names every reason to leave a case out, and no other; each is of a case that there is', () => {
  const reasons = Object.entries(logSkips).flatMap(([adapter, skips]) =>
    Object.entries(skips).map(([title, reason]) => [adapter, title, reason]),
  )

  expect(new Set(rowsUnder('Left out').map((row) => row.join(': ')))).toEqual(new Set(reasons.map((row) => row.join(': '))))
  const titles = suites.flatMap(titlesOf)
  expect(reasons.filter(([, title = '']) => !titles.includes(title))).toEqual([])
})

test('there are at least 60 cases', () => {
  expect(suites.flatMap(titlesOf).length).toBeGreaterThanOrEqual(60)
})
