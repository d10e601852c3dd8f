import type { LogRecord } from '../src/core/broker/log-producer.ts'
import { fingerprintOf } from '../src/core/contract/codec.ts'
import { type Contract, type ContractDefinition, contract } from '../src/core/contract/contract.ts'
import { writtenRecord } from './written-record.ts'

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

const padding = 'x'.repeat(200)

/** One of them, with an id and a key of its own. */
export function slowRecord(definition: ContractDefinition): LogRecord {
  return writtenRecord(definition, (orderId) => ({ orderId, padding }))
}
