import { fingerprintOf } from '../src/core/contract/codec.ts'
import { type ContractDefinition, type ContractVersion, contract } from '../src/core/contract/contract.ts'
import type { Envelope } from '../src/core/envelope/envelope.ts'

/** An order as a shop would publish it; the second version adds a field, and nothing else. */
const line = {
  type: 'record',
  name: 'Line',
  fields: [
    { name: 'sku', type: 'string' },
    { name: 'description', type: 'string' },
    { name: 'quantity', type: 'int' },
    { name: 'unitPrice', type: 'long' },
    { name: 'discount', type: ['null', 'long'], default: null },
  ],
}

const fields = [
  { name: 'orderId', type: 'string' },
  { name: 'customerId', type: 'string' },
  { name: 'placedAtMs', type: 'long' },
  { name: 'status', type: { type: 'enum', name: 'Status', symbols: ['PLACED', 'PAID', 'SHIPPED'], default: 'PLACED' } },
  { name: 'total', type: 'long' },
  { name: 'currency', type: 'string' },
  { name: 'note', type: ['null', 'string'], default: null },
  { name: 'lines', type: { type: 'array', items: line } },
]

const added = { name: 'channel', type: 'string', default: 'WEB' }

function versionOf(version: number, ofFields: readonly object[]): ContractVersion {
  const schema = { type: 'record', name: 'bench.OrderPlaced', fields: ofFields }
  return { version, fingerprint: fingerprintOf(schema), schema }
}

const versions = [versionOf(1, fields), versionOf(2, [...fields, added])]

const common = { kind: 'event', name: 'bench.OrderPlaced', topic: 'orders', key: 'orderId', replies: [], versions } as const

/** Two versions of one message; the newer reads what the older wrote. */
export const older: ContractDefinition = contract({ ...common, version: 1 }).definition
export const newer: ContractDefinition = contract({ ...common, version: 2 }).definition

export function orderOf(lines: number): Readonly<Record<string, unknown>> {
  return {
    orderId: '0198f000-0000-7000-8000-000000000001',
    customerId: '0198f000-0000-7000-8000-000000000002',
    placedAtMs: 1_769_860_800_123,
    status: 'PLACED',
    total: 129_900,
    currency: 'EUR',
    note: 'Please ring twice',
    lines: Array.from({ length: lines }, (_, index) => ({
      sku: `CHAIR-${1000 + index}`,
      description: `A chair of solid oak, number ${index}`,
      quantity: 1 + (index % 5),
      unitPrice: 12_990 + index,
      discount: index % 3 === 0 ? 500 : null,
    })),
  }
}

/** What `publish` makes: ten headers, no attribute of the user's. */
export const envelope: Omit<Envelope, 'data'> = {
  specversion: '1.0',
  id: '0198f000-0000-7000-8000-000000000003',
  source: '/orders',
  type: 'bench.OrderPlaced.v1',
  time: '2026-01-31T12:00:00.123Z',
  datacontenttype: 'application/avro',
  subject: '0198f000-0000-7000-8000-000000000001',
  correlationid: '0198f000-0000-7000-8000-000000000004',
  causationid: '0198f000-0000-7000-8000-000000000005',
  traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
  tracestate: null,
  partitionkey: null,
  extensions: {},
}
