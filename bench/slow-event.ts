import { fingerprintOf } from '../src/core/contract/codec.ts'
import { type Contract, contract } from '../src/core/contract/contract.ts'

interface Data {
  readonly orderId: string
  readonly padding: string
}

/** A small event on a topic of the measurement's own. */
export function slowEventOn(topic: string): Contract<{ kind: 'event'; name: 'bench.Slow'; input: Data; data: Data; reply: void }> {
  const fields = ['orderId', 'padding'].map((name) => ({ name, type: 'string' }))
  const schema = { type: 'record', name: 'bench.Slow', fields }
  const versions = [{ version: 1, fingerprint: fingerprintOf(schema), schema }]
  return contract({ kind: 'event', name: 'bench.Slow', version: 1, topic, key: 'orderId', replies: [], versions })
}
