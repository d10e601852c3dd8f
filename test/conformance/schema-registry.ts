import { randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import type { RegistryClient } from '../../src/adapters/registry/registry-client.ts'

/** What a client must find in any registry that speaks Confluent's API. */
export interface RegistrySubject {
  readonly client: RegistryClient
}

/** Each case has subjects of its own: a real registry is shared by all. */
export function schemaRegistryConformance(
  name: string,
  open: () => RegistrySubject,
  when: { readonly skip?: string | undefined } = {},
): void {
  const onRegistry = when.skip === undefined ? test : test.skip
  const check = (title: string, run: (client: RegistryClient, subject: string) => Promise<void>): void => {
    const why = when.skip === undefined ? '' : ` (skipped: ${when.skip})`
    onRegistry(`${name}: ${title}${why}`, () => run(open().client, `test-${randomBytes(6).toString('hex')}`))
  }

  check('gives a schema the same id however often it is registered', async (client, subject) => {
    const first = await client.register(subject, schema(subject))

    const second = await client.register(subject, schema(subject))

    expect(second).toBe(first)
    expect(await client.versions(subject)).toEqual([1])
  })

  check('finds by id what was registered', async (client, subject) => {
    const id = await client.register(subject, schema(subject))

    const found = await client.getById(id)

    expect(fieldsIn(found?.schema)).toEqual(['id'])
  })

  check('finds the id of a schema without registering it', async (client, subject) => {
    const id = await client.register(subject, schema(subject))

    expect(await client.find(subject, schema(subject))).toBe(id)
    expect(await client.find(subject, schema(subject, 'note'))).toBeUndefined()
    expect(await client.versions(subject)).toEqual([1])
  })

  check('answers with nothing what it does not have', async (client, subject) => {
    expect(await client.getById(2_000_000_000)).toBeUndefined()
    expect(await client.find(subject, schema(subject))).toBeUndefined()
    expect(await client.versions(subject)).toEqual([])
    expect(await client.version(subject, 1)).toBeUndefined()
  })

  check('counts the versions of a subject in the order of their registration', async (client, subject) => {
    const ids = [await client.register(subject, schema(subject)), await client.register(subject, schema(subject, 'note'))]

    expect(await client.versions(subject)).toEqual([1, 2])
    expect(await client.version(subject, 1)).toMatchObject({ subject, version: 1, id: ids[0] })
    expect(await client.version(subject, 'latest')).toMatchObject({ version: 2, id: ids[1] })
  })

  check('refuses what its compatibility level does not allow, and says so before', async (client, subject) => {
    await client.register(subject, schema(subject))
    await client.setCompatibilityLevel('FULL_TRANSITIVE', subject)
    const broken = { schema: JSON.stringify({ type: 'record', name: nameFor(subject), fields: [{ name: 'other', type: 'string' }] }) }

    expect(await client.compatibilityLevel(subject)).toBe('FULL_TRANSITIVE')
    expect((await client.checkCompatibility(subject, schema(subject, 'note'))).compatible).toBe(true)
    expect((await client.checkCompatibility(subject, broken)).compatible).toBe(false)
    await expect(client.register(subject, broken)).rejects.toMatchObject({ code: 'REGISTRY_INCOMPATIBLE', name: 'ConfigurationError' })
    expect(await client.versions(subject)).toEqual([1])
  })

  check('refuses what is no schema', async (client, subject) => {
    await expect(client.register(subject, { schema: '{nope' })).rejects.toMatchObject({ code: 'REGISTRY_SCHEMA_REFUSED' })
  })

  check('follows references to the schemas that a schema needs', async (client, subject) => {
    const money = `${nameFor(subject)}Money`
    await client.register(`${subject}-money`, schemaNamed(money))
    const reference = { name: money, subject: `${subject}-money`, version: 1 }
    const order = { type: 'record', name: nameFor(subject), fields: [{ name: 'total', type: money }] }
    const id = await client.register(subject, { schema: JSON.stringify(order), references: [reference] })

    const found = await client.getById(id)

    expect(found?.references).toEqual([reference])
    expect(Object.keys(found?.referenced ?? {})).toEqual([money])
    expect(await client.referencedBy(`${subject}-money`, 1)).toContain(id)
  })

  check('says in which mode it is', async (client) => {
    expect(await client.mode()).toBe('READWRITE')
  })

  check('knows one text as one schema under two subjects', async (client, subject) => {
    const id = await client.register(subject, schema(subject))

    expect(await client.register(`${subject}-2`, schema(subject))).toBe(id)
  })
}

function nameFor(subject: string): string {
  return `shop.${subject.replaceAll('-', '_')}.Order`
}

function schema(subject: string, optional?: string): { schema: string } {
  return schemaNamed(nameFor(subject), optional)
}

function schemaNamed(name: string, optional?: string): { schema: string } {
  const fields = [{ name: 'id', type: 'string' }, ...(optional === undefined ? [] : [{ name: optional, type: 'string', default: '' }])]
  return { schema: JSON.stringify({ type: 'record', name, fields }) }
}

function fieldsIn(text: string | undefined): string[] {
  const parsed: { fields?: { name: string }[] } = JSON.parse(text ?? '{}')
  return (parsed.fields ?? []).map(({ name }) => name)
}
