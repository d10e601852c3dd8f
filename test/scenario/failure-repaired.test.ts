import { spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, onTestFinished, test } from 'vitest'
import type { Handler } from '../../src/core/consume/subscription.ts'
import type { Transaction } from '../../src/core/database/database.ts'
import { ConsumeBench } from '../core/consume/consume-bench.ts'
import { type Counted as CountedContract, countedOn } from '../kit/contracts.ts'

const Counted = countedOn('t')
const bin = fileURLToPath(new URL('../../src/faces/cli/bin.ts', import.meta.url))

interface Answer {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** An operator: a project with its schemas, a database's address, and the command line. */
class Operator {
  readonly #folder = mkdtempSync(join(tmpdir(), 'trunkline-operator-'))
  readonly #url: string

  constructor(url: string) {
    this.#url = url
    onTestFinished(() => rmSync(this.#folder, { recursive: true }))
    const [version] = Counted.definition.versions
    const schema = {
      ...(version?.schema as object),
      name: 'Counted',
      namespace: 'test',
      trunkline: { kind: 'event', topic: 't', key: 'key' },
    }
    mkdirSync(join(this.#folder, 'schemas', 'test'), { recursive: true })
    writeFileSync(join(this.#folder, 'schemas', 'test', 'Counted.v1.avsc'), JSON.stringify(schema))
  }

  async types(...args: readonly string[]): Promise<Answer> {
    const child = spawn(process.execPath, [bin, 'failure', ...args], {
      cwd: this.#folder,
      env: { PATH: process.env['PATH'], DATABASE_URL: this.#url },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let stdout = ''
    let stderr = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text))
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
    return await new Promise((resolve) => child.once('close', (code) => resolve({ code, stdout, stderr })))
  }

  async asksFor(...args: readonly string[]): Promise<Record<string, unknown>[]> {
    const { stdout } = await this.types(...args, '--json')
    return JSON.parse(stdout) as Record<string, unknown>[]
  }
}

const effect: Handler<CountedContract, Transaction> = async ({ data }, { tx }) => {
  await tx.query('insert into effect (key, version) values ($1, $2)', [data.key, data.version])
}

/** The build with the bug: it cannot do what the note says. */
const broken: Handler<CountedContract, Transaction> = async (message, delivery) => {
  if (message.data.note === 'gift') throw new TypeError('cannot read "ribbon" of undefined')
  await effect(message, delivery)
}

async function deploy(bench: ConsumeBench, handler: Handler<CountedContract, Transaction>) {
  const { backbone } = bench.backbone()
  backbone.subscribe(Counted, handler, { retry: { inline: 1, delays: [] } })
  await backbone.start({ run: ['consume'] })
  return backbone
}

test('an operator finds the cause, reads a message, and redrives behind a canary once the fix is deployed; order per key is kept', {
  timeout: 120_000,
}, async () => {
  const bench = await ConsumeBench.open()
  const operator = new Operator(bench.url)
  const keys = Array.from({ length: 9 }, (_, index) => `key-${index}`)
  await bench.publishAll(keys)
  await bench.publishAll(keys.map((key) => [key, 'gift'] as const))
  await bench.publishAll(keys)
  const first = await deploy(bench, broken)
  await bench.settled()

  const [cause, ...others] = await operator.asksFor('causes')
  expect(others).toEqual([])
  expect(cause).toMatchObject({
    group: 'judge',
    dead: 9,
    heldKeys: 9,
    cause: expect.stringMatching(/^TypeError in broken .* · test\.Counted$/),
  })
  const fingerprint = String(cause?.['fingerprint'])

  const shown = await operator.types('show', String(cause?.['example']).slice(0, 8))
  expect(shown.code).toBe(0)
  expect(shown.stdout).toMatch(/cannot read "ribbon" of undefined/)
  expect(shown.stdout).toMatch(/1 message of its key behind it/)
  expect(shown.stdout).toMatch(/"note": "gift"/)
  expect(shown.stdout).toMatch(/attempt 1 failed[\s\S]*attempt 2 failed/)

  // Too early: the bug is still there, and one message tells.
  const early = await operator.types('redrive', '--cause', fingerprint, '--yes', '--reason', 'is it fixed?')
  expect(early.code).toBe(3)
  expect(early.stderr).toMatch(/1 of 9 put back: 0 applied, 1 failed again[\s\S]*The cause returned/)
  await bench.settled()
  expect(await operator.asksFor('list', '--state', 'dead')).toHaveLength(9)

  await first.stop()
  await deploy(bench, effect)
  const forecast = await operator.asksFor('redrive', '--cause', fingerprint, '--dry-run')
  expect(forecast).toHaveLength(9)
  expect(new Set(forecast.map(({ readable, handled }) => `${String(readable)} ${String(handled)}`))).toEqual(new Set(['yes true']))
  expect(await bench.effects()).toHaveLength(9)

  const redriven = await operator.types('redrive', '--cause', fingerprint, '--yes', '--reason', 'the fix is out', '--rate', '1000')
  expect(redriven.stderr).toMatch(/1 of 9 put back[\s\S]*3 of 9 put back[\s\S]*8 of 9 put back[\s\S]*9 of 9 put back: 9 applied/)
  expect(redriven.code).toBe(0)

  await bench.settled()
  expect(await bench.violations()).toEqual([])
  expect(await bench.effects()).toHaveLength(27)
  expect(await operator.asksFor('list')).toEqual([])
  expect(await bench.query('select act, reason, count(*)::int from trunkline.audit group by 1, 2 order by 3')).toEqual([
    { act: 'failure redrive', reason: 'is it fixed?', count: 1 },
    { act: 'failure redrive', reason: 'the fix is out', count: 9 },
  ])
})

test('an operator lets a message go, changes her mind, and is told what she may type', { timeout: 120_000 }, async () => {
  const bench = await ConsumeBench.open()
  const operator = new Operator(bench.url)
  await bench.publishAll([['a', 'gift'], 'a', ['b', 'gift']])
  const first = await deploy(bench, broken)
  await bench.settled()
  // Nothing runs between the discard and its end.
  await first.stop()
  const [dead] = await operator.asksFor('list', '--key', 'a', '--state', 'dead')
  const id = String(dead?.['id'])

  expect(await operator.types('discard')).toMatchObject({ code: 2, stderr: expect.stringContaining('Which messages?') })
  expect(await operator.types('discard', 'ffff')).toMatchObject({
    code: 2,
    stderr: expect.stringMatching(/No message that is dead has an id/),
  })
  expect(await operator.types('list', '--state', 'lost')).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('parked, dead or discarded'),
  })
  expect(await operator.types('discard', id)).toMatchObject({ code: 2, stderr: expect.stringContaining('--yes') })
  expect(await operator.types('discard', id, '--yes', '--reason', 'a test order')).toMatchObject({
    code: 0,
    stderr: expect.stringContaining('1 of 1 discarded'),
  })
  expect(await operator.types('restore', id, '--yes', '--reason', 'it was real')).toMatchObject({
    code: 0,
    stderr: expect.stringContaining('1 of 1 restored'),
  })

  await deploy(bench, effect)
  expect((await operator.types('redrive', '--all', '--at-once', '--yes', '--reason', 'fixed')).stderr).toMatch(/2 of 2 put back/)
  await bench.settled()
  expect(await bench.violations()).toEqual([])
  expect((await bench.effects()).toSorted()).toEqual(['a1', 'a2', 'b1'])
})
