import { expect, test } from 'vitest'
import { Diagnostics } from '../../src/foundation/diagnostics.ts'

interface Things {
  'thing.made': { readonly name: string }
  'thing.lost': { readonly reason: string }
}

test('a listener runs at the place that reports, before it goes on', () => {
  const diagnostics = new Diagnostics<Things>()
  const seen: string[] = []
  diagnostics.on(({ name }) => seen.push(name))

  diagnostics.emit('thing.made', { name: 'a' })

  expect(seen).toEqual(['thing.made'])
})

test('a listener that throws hurts neither the part that reports nor the next listener', async () => {
  const diagnostics = new Diagnostics<Things>()
  const warned = new Promise<Error>((resolve) => process.once('warning', resolve))
  diagnostics.on(() => {
    throw new Error('broken listener')
  })
  const next = diagnostics.next('thing.made')

  diagnostics.emit('thing.made', { name: 'a' })

  expect(await next).toEqual({ name: 'a' })
  expect((await warned).message).toContain('broken listener')
})

test('next waits for the record that fits', async () => {
  const diagnostics = new Diagnostics<Things>()
  const next = diagnostics.next('thing.made', ({ name }) => name === 'b')

  diagnostics.emit('thing.lost', { reason: 'b' })
  diagnostics.emit('thing.made', { name: 'a' })
  diagnostics.emit('thing.made', { name: 'b' })

  expect(await next).toEqual({ name: 'b' })
})

test('next gives up when its signal aborts', async () => {
  const abort = new AbortController()
  const next = new Diagnostics<Things>().next('thing.made', () => true, abort.signal)

  abort.abort(new Error('enough'))

  await expect(next).rejects.toThrow('enough')
})
