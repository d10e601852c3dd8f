import { ConfigurationError, ContractError, messageOf } from '../../foundation/errors.ts'
import { conformToSchema, versionOf } from './conform.ts'
import { type Contract, type ContractDefinition, type ContractTypes, contract, typeOf, type Upcaster } from './contract.ts'

/**
 * Teaches a contract to read an older version that Avro's own rules cannot turn into it: a field that was split, a
 * unit that changed.
 *
 * The result is the same contract for subscriptions, sagas and publishers, so use it everywhere in place of the generated one.
 * What was written in `from`'s version, or in one before it, is first read as that version (by `from`'s own upcasters,
 * where it has some) and then converted: `upcast(V3, upcast(V2, V1, …), …)` is a chain. What comes out
 * must fit the newer schema, where fields with a default may be left out; the rules of its fields (`x-min`, …) are asked for
 * only where a subscription says `checkRules`.
 *
 * A saga takes it as `startedBy`; the replies of its commands it reads by the contracts that were generated with them.
 *
 * @param convert pure: the same message may be converted again
 * @throws ConfigurationError `UPCAST_INVALID`: `from` is not an older version of the same message, or nothing in a value tells
 *   the two apart
 */
export function upcast<To extends ContractTypes, From extends ContractTypes & { readonly name: To['name'] }>(
  to: Contract<To>,
  from: Contract<From>,
  convert: (data: From['data']) => To['input'],
): Contract<To> {
  refuseUnfit(to.definition, from.definition)
  // What comes in was decoded with `from`, whose type it therefore has.
  const upcaster: Upcaster = { from: from.definition, convert: (data) => convert(data as From['data']) }
  const upcasters = [...(to.definition.upcasters ?? []), upcaster].toSorted((a, b) => a.from.version - b.from.version)
  return contract<To>({ ...to.definition, upcasters: Object.freeze(upcasters) })
}

/** @returns what a value of that version must go through; `undefined` where Avro's own rules do */
export function upcasterFor(definition: ContractDefinition, version: number): Upcaster | undefined {
  return definition.upcasters?.find((each) => version <= each.from.version)
}

/**
 * Converts data that was read as the upcaster's version.
 *
 * @returns data of the definition's own version, checked against its schema, with defaults filled in
 * @throws ContractError `UPCAST_FAILED`: the upcaster threw, or what it made does not fit
 */
export function convertData(definition: ContractDefinition, upcaster: Upcaster, data: unknown): unknown {
  try {
    return conformToSchema(definition, upcaster.convert(data))
  } catch (error) {
    const type = typeOf(definition.name, upcaster.from.version)
    throw new ContractError(
      'UPCAST_FAILED',
      `A ${type} could not be converted to version ${definition.version}: ${messageOf(error)} Correct the function that was given to upcast().`,
      { type, version: definition.version },
      error,
    )
  }
}

function refuseUnfit(to: ContractDefinition, from: ContractDefinition): void {
  if (from.name !== to.name || from.version >= to.version)
    throw invalid(
      to,
      from,
      'an upcaster leads from an older version of a message to a newer one of the same. Exchange them, or import the right one',
    )
  if (versionOf(from).fingerprint === versionOf(to).fingerprint)
    throw invalid(
      to,
      from,
      'both versions have the same bytes and fingerprint, so that nothing tells which one a value has. Add a field that does',
    )
  if (to.upcasters?.some((each) => each.from.version === from.version) === true)
    throw invalid(to, from, 'there is an upcaster between them already. Keep one')
}

function invalid(to: ContractDefinition, from: ContractDefinition, problem: string): ConfigurationError {
  const [newer, older] = [typeOf(to.name, to.version), typeOf(from.name, from.version)]
  return new ConfigurationError('UPCAST_INVALID', `upcast(${newer}, ${older}): ${problem}.`, { to: newer, from: older })
}
