import { expect, test } from 'vitest'
import { kafkajsLog } from '../../../src/adapters/kafkajs/kafkajs-log.ts'
import type { DiagnosticCatalogue } from '../../../src/core/diagnostics.ts'
import { Diagnostics } from '../../../src/foundation/diagnostics.ts'
import { RecordingListener } from '../../conformance/log-listener.ts'

// Nothing listens on port 1.
const address = '127.0.0.1:1'

test('tries to join until the signal aborts while no broker answers, says so each time, and names the address', async () => {
  const diagnostics = new Diagnostics<DiagnosticCatalogue>()
  const { consumers, admin } = kafkajsLog({ brokers: [address], clientId: 'test', diagnostics })
  const consumer = consumers.consumer('stock', ['orders'])
  const twice = diagnostics.next('consumer.restarted').then(() => diagnostics.next('consumer.restarted'))
  const abort = new AbortController()

  const joining = consumer.start(new RecordingListener(), abort.signal)
  const said = await twice
  abort.abort()

  expect(said).toMatchObject({ group: 'stock', reason: expect.stringContaining(address) })
  await expect(joining).rejects.toMatchObject({ code: 'BROKER_UNREACHABLE', message: expect.stringContaining(address) })
  await admin.close()
})

test('says which address does not answer when the cluster is asked', async () => {
  const { admin } = kafkajsLog({ brokers: [address], clientId: 'test' })

  await expect(admin.brokers()).rejects.toMatchObject({ name: 'TransientError', message: expect.stringContaining(address) })
  await expect(admin.partitionsOf('orders')).rejects.toMatchObject({ code: 'BROKER_UNREACHABLE' })
  await admin.close()
})
