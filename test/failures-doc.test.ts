import { readFileSync } from 'node:fs'
import { runInThisContext } from 'node:vm'
import { expect, test } from 'vitest'
import { subscriptionOptions } from '../src/core/consume/registry.ts'
import { failureCommand } from '../src/faces/cli/failure.ts'
import { groupCommand } from '../src/faces/cli/group.ts'
import { parseOptions } from '../src/foundation/options.ts'

const page = readFileSync(new URL('../docs/failures.md', import.meta.url), 'utf8')
const snippets = (language: string): string[] =>
  [...page.matchAll(new RegExp(`\`\`\`${language}\n([\\s\\S]*?)\`\`\``, 'g'))].map(([, text = '']) => text)

test('the policy of the page is one', () => {
  const policy: unknown = runInThisContext(`(() => { ${snippets('ts')[0] ?? ''}; return policy })()`)

  expect(parseOptions(subscriptionOptions, policy, 'the page')).toMatchObject({ retry: { delays: [1_000, 10_000, 60_000, 600_000] } })
})

test('every command of the page exists, with its flags', () => {
  const lines = snippets('sh')
    .flatMap((text) => text.split('\n'))
    .filter((line) => line.startsWith('trunkline '))
  const nouns = [failureCommand(), groupCommand()]
  const unknown = lines.flatMap((line) => {
    const [, noun = '', verb = '', ...words] = line.replace(/\s+#.*$/, '').split(' ')
    const command = nouns.find((each) => each.name() === noun)?.commands.find((each) => each.name() === verb)
    const flags = new Set(command?.options.map(({ long }) => long))
    return command === undefined ? [verb] : words.filter((word) => word.startsWith('--') && !flags.has(word))
  })

  expect(lines.length).toBeGreaterThan(5)
  expect(unknown).toEqual([])
})
