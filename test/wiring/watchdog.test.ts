import { expect, onTestFinished, test } from 'vitest'
import { createTestDatabase } from '../kit/database.ts'
import { TestProcess } from '../kit/processes.ts'

async function blocking(plan: { readonly watchdog: '1s' | false; readonly forMs: number }): Promise<TestProcess> {
  const { url } = await createTestDatabase()
  const program = new TestProcess('blocking', { databaseUrl: url, ...plan })
  onTestFinished(() => program[Symbol.asyncDispose]())
  return program
}

test('a process whose event loop is blocked for longer than the limit is ended, and says why', async () => {
  const program = await blocking({ watchdog: '1s', forMs: 60_000 })

  expect(await program.ended()).toEqual({ code: null, signal: 'SIGKILL' })
  expect(program.errors).toContain('the event loop has stood still for 1000 ms')
  expect(program.lines).toEqual(['runs'])
})

test('a process that is blocked for less goes on, and the thread does not keep it from ending', async () => {
  const program = await blocking({ watchdog: '1s', forMs: 300 })

  expect(await program.ended()).toEqual({ code: 0, signal: null })
  expect(program.lines).toEqual(['runs', 'turns again', 'stopped'])
})

test('a process that was frozen as a whole is not taken for a blocked one', async () => {
  const program = await blocking({ watchdog: '1s', forMs: 500 })
  await program.says('runs')

  program.kill('SIGSTOP')
  await new Promise((resolve) => setTimeout(resolve, 2_500))
  program.kill('SIGCONT')

  expect(await program.ended()).toEqual({ code: 0, signal: null })
})

test('without a watchdog nothing ends it', async () => {
  const program = await blocking({ watchdog: false, forMs: 2_500 })

  expect(await program.ended()).toEqual({ code: 0, signal: null })
})
