import { expect, test } from 'vitest'
import { proveFuzz } from './prove-fuzz.ts'

async function proved(options: Parameters<typeof proveFuzz>[2]): Promise<{ holds: boolean; said: string }> {
  const lines: string[] = []
  const holds = await proveFuzz(1, 9, { ...options, say: (line: string) => void lines.push(line) })
  return { holds, said: lines.join('\n') }
}

function program(text: string): URL {
  return new URL(
    `data:text/javascript,${encodeURIComponent(`import { workerData } from 'node:worker_threads'\nworkerData.progress[0] = 41\n${text}`)}`,
  )
}

test('a proof says its seed, what was read and refused, and how long the slowest took', async () => {
  const { holds, said } = await proved({ runs: 500 })

  expect(holds).toBe(true)
  expect(said).toMatch(
    /^fuzz seed 9 \(\d+ s\): holds · 500 messages: \d+ read, .*PAYLOAD_UNREADABLE \d+.* · slowest [\d.]+ ms, stalls above 50 ms: 0/,
  )
})

// In small pieces: V8 ends the whole process, not the thread, when one large allocation meets the limit.
test.each<[string, string, RegExp]>([
  ['breaks a promise', "throw new Error('seed 9, run 41: it threw')", /seed 9, run 41: it threw/],
  ['never ends', 'for (;;);', /seed 9, run 41: still being read after 0\.3 s/],
  ['takes all memory', 'let all; for (;;) all = { all }', /run 41: .*memory/],
  ['ends the thread', 'process.exit(3)', /seed 9, run 41: the worker ended with 3/],
])('a message that %s is named, and nothing holds', { timeout: 30_000 }, async (_what, text, says) => {
  const { holds, said } = await proved({ program: program(text), hangMs: text.startsWith('for') ? 300 : 20_000 })

  expect(holds).toBe(false)
  expect(said).toMatch(/^fuzz seed 9 \(\d+ s\): DOES NOT HOLD/)
  expect(said).toMatch(says)
})
