import { afterAll, beforeAll, expect, test } from 'vitest'
import { RegistryClient } from '../../../src/adapters/registry/registry-client.ts'
import { loadCatalogue } from '../../../src/core/contract/catalogue.ts'
import { SchemaIds } from '../../../src/core/contract/schema-ids.ts'
import { WriterSchemas } from '../../../src/core/contract/writer-schemas.ts'
import { writtenVersion } from '../../../src/core/contract/written-version.ts'
import { schemaIdIn } from '../../../src/core/envelope/framing.ts'
import { systemClock } from '../../../src/foundation/clock.ts'
import { schemaRegistryConformance } from '../../conformance/schema-registry.ts'
import { registryServer } from '../../kit/registry-server.ts'

const server = await registryServer()
let running: Awaited<ReturnType<typeof server.start>> | undefined

beforeAll(async () => {
  if (server.missing === undefined) running = await server.start()
})

afterAll(async () => {
  await running?.stop()
})

function client(): RegistryClient {
  return new RegistryClient({ clock: systemClock }, { url: running?.url ?? '', timeoutMs: 10_000 })
}

schemaRegistryConformance('a real registry', () => ({ client: client() }), { skip: server.missing })

test.skipIf(server.missing !== undefined)('tells a real registry from another path of the same server', async () => {
  const elsewhere = new RegistryClient({ clock: systemClock }, { url: `${running?.url}/nowhere`, timeoutMs: 10_000 })

  await expect(elsewhere.getById(1)).rejects.toMatchObject({ code: 'REGISTRY_ADDRESS_WRONG' })
})

test.skipIf(server.missing !== undefined)(
  'keeps the schemas of this repository so that each is known again as the version that it is',
  async () => {
    const parts = { registry: client(), clock: systemClock }
    const ids = new SchemaIds(parts, { subjects: 'TopicRecordName', topicPrefix: 'kept-' })
    const writers = new WriterSchemas(parts)
    const contracts = loadCatalogue('schemas').contracts()

    for (const { definition } of contracts) {
      const id = schemaIdIn(await ids.load(definition, definition.topic)) ?? -1
      await writers.load(id)
      const writer = writers.get(id)

      expect(writer && writtenVersion(definition, writer)).toBe(definition.versions.at(-1))
    }
    expect(contracts.length).toBeGreaterThan(5)
  },
)
