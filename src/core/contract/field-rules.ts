import { z } from 'zod'
import { nearest } from '../../foundation/options.ts'
import type { AvroPrimitive, AvroType, FieldRules } from './avro.ts'
import { unscaledOf } from './decimal.ts'

/** What the rules of a type say about a value of it, and how to say it. */
export interface RuleCheck {
  /** @returns what is wrong, to continue `"quantity" …`, and what to do; `undefined`: nothing */
  problemOf(value: unknown): { readonly problem: string; readonly mend: string } | undefined
}

const ATTRIBUTES = {
  'x-min': 'min',
  'x-max': 'max',
  'x-min-length': 'minLength',
  'x-max-length': 'maxLength',
  'x-pattern': 'pattern',
} as const satisfies Record<string, keyof FieldRules>

type RuleAttribute = keyof typeof ATTRIBUTES
const RULE_ATTRIBUTES = Object.keys(ATTRIBUTES) as readonly RuleAttribute[]
const KNOWN = [...RULE_ATTRIBUTES, 'x-js', 'x-encrypt']

/** Whether something carries a rule, so that reading them costs nothing where there are none. */
export function hasRules(attributes: Readonly<Record<string, unknown>>): boolean {
  return RULE_ATTRIBUTES.some((name) => attributes[name] !== undefined)
}

/** @returns what somebody meant who wrote `x-maxLength`; other tools' attributes, which are left alone, have none */
export function misspelt(attributes: Readonly<Record<string, unknown>>): { readonly name: string; readonly meant: string } | undefined {
  for (const name of Object.keys(attributes)) {
    if (!name.startsWith('x-') || KNOWN.includes(name)) continue
    const meant = nearest(name, KNOWN)
    if (meant !== undefined) return { name, meant }
  }
  return undefined
}

/**
 * Reads the rules that stand beside a type.
 *
 * @param refuse makes the error for an attribute: what is wrong with it
 */
export function parseRules(
  attributes: Readonly<Record<string, unknown>>,
  type: AvroType,
  refuse: (attribute: string, problem: string) => Error,
): FieldRules {
  const rules: Record<string, unknown> = {}
  for (const attribute of RULE_ATTRIBUTES) {
    const value = attributes[attribute]
    if (value === undefined) continue
    const rule = ATTRIBUTES[attribute]
    if (!allowed(type).includes(rule)) throw refuse(attribute, `it says nothing about a value of type ${nameOf(type)}. Remove it.`)
    const problem = ruleProblem(rule, value, type)
    if (problem !== undefined) throw refuse(attribute, problem)
    rules[rule] = value
  }
  for (const [low, high] of [
    ['min', 'max'],
    ['minLength', 'maxLength'],
  ] as const) {
    const [least, most] = [rules[low], rules[high]]
    if (least === undefined || most === undefined || measureBound(least, type) <= measureBound(most, type)) continue
    throw refuse(
      attributeOf(high),
      `${JSON.stringify(most)} is less than the lower bound ${JSON.stringify(least)}: no value fits both. Correct one of them.`,
    )
  }
  return rules
}

/** The rules of a type in zod, built once. `undefined`: it has none. */
export function compileRules(type: AvroType): RuleCheck | undefined {
  const rules = 'rules' in type ? type.rules : undefined
  if (rules === undefined) return undefined
  const schema = zodOf(rules, type)
  const measure = measureOf(type)
  return {
    problemOf: (value) => {
      const parsed = schema.safeParse(measure(value))
      return parsed.success ? undefined : said(parsed.error.issues[0], rules, type)
    },
  }
}

/** Numbers are compared as they are, decimals as whole numbers, and everything else by its length. */
function zodOf(rules: FieldRules, type: AvroType): z.ZodType {
  if (type.kind === 'string' && !isDecimal(type)) {
    let text = z.string()
    if (rules.minLength !== undefined) text = text.min(rules.minLength)
    // First, and the last where it is broken: a pattern may take for ever on a text that is too long for it.
    if (rules.maxLength !== undefined) text = text.max(rules.maxLength, { abort: true })
    return rules.pattern === undefined ? text : text.regex(new RegExp(rules.pattern, 'u'))
  }
  const least = rules.min ?? rules.minLength
  const most = rules.max ?? rules.maxLength
  if (isExact(type)) {
    let whole = z.bigint()
    if (least !== undefined) whole = whole.min(BigInt(measureBound(least, type)))
    return most === undefined ? whole : whole.max(BigInt(measureBound(most, type)))
  }
  let number = z.number()
  if (least !== undefined) number = number.min(Number(least))
  return most === undefined ? number : number.max(Number(most))
}

function measureOf(type: AvroType): (value: unknown) => unknown {
  if (isDecimal(type)) return (value) => unscaledOf(String(value), type.logical)
  if (type.kind === 'array') return (value) => (Array.isArray(value) ? value.length : 0)
  if (type.kind === 'map') return (value) => Object.keys(Object(value)).length
  if (type.kind === 'bytes') return (value) => (value instanceof Uint8Array ? value.length : 0)
  return (value) => value
}

function measureBound(bound: unknown, type: AvroType): number | bigint {
  if (isDecimal(type)) return unscaledOf(String(bound), type.logical) ?? 0n
  return type.kind === 'long' && type.js === 'bigint' ? BigInt(String(bound)) : Number(bound)
}

function said(issue: z.core.$ZodIssue | undefined, rules: FieldRules, type: AvroType): { problem: string; mend: string } {
  const unit = rules.minLength === undefined && rules.maxLength === undefined ? undefined : UNITS[type.kind]
  if (issue?.code === 'too_small') {
    const bound = rules.min ?? rules.minLength
    return { problem: unit === undefined ? `must be at least ${bound}` : `must have at least ${bound} ${unit}`, mend: 'Send more' }
  }
  if (issue?.code === 'too_big') {
    const bound = rules.max ?? rules.maxLength
    return { problem: unit === undefined ? `must be at most ${bound}` : `must have at most ${bound} ${unit}`, mend: 'Send less' }
  }
  return { problem: `must match ${rules.pattern}`, mend: 'Correct it' }
}

const UNITS: Readonly<Partial<Record<AvroType['kind'], string>>> = {
  string: 'characters',
  bytes: 'bytes',
  array: 'items',
  map: 'entries',
}

function allowed(type: AvroType): readonly (keyof FieldRules)[] {
  if (isDecimal(type)) return ['min', 'max']
  if ('logical' in type && type.logical !== undefined) return []
  switch (type.kind) {
    case 'int':
    case 'long':
    case 'float':
    case 'double':
      return ['min', 'max']
    case 'string':
      return ['minLength', 'maxLength', 'pattern']
    case 'bytes':
    case 'array':
    case 'map':
      return ['minLength', 'maxLength']
    default:
      return []
  }
}

function ruleProblem(rule: keyof FieldRules, value: unknown, type: AvroType): string | undefined {
  if (rule === 'pattern') return patternProblem(value)
  if (rule === 'minLength' || rule === 'maxLength')
    return Number.isSafeInteger(value) && Number(value) >= 0 ? undefined : 'this is a whole number, 0 or more.'
  if (isDecimal(type)) {
    const fits = typeof value === 'string' && unscaledOf(value, type.logical) !== undefined
    return fits ? undefined : 'the bound of a decimal is a text of its precision and scale, such as "0.01".'
  }
  if (type.kind === 'long' && type.js === 'bigint') {
    const fits = Number.isSafeInteger(value) || (typeof value === 'string' && /^-?\d{1,19}$/.test(value))
    return fits ? undefined : 'the bound of a bigint is a whole number, or its digits as text.'
  }
  if (type.kind === 'float' || type.kind === 'double') return Number.isFinite(value) ? undefined : 'this is a number.'
  return Number.isSafeInteger(value) ? undefined : 'the bound of a whole number is a whole number.'
}

function patternProblem(value: unknown): string | undefined {
  if (typeof value !== 'string') return 'this is a regular expression as text, such as "^[A-Z]{3}$".'
  try {
    new RegExp(value, 'u')
    return undefined
  } catch (error) {
    return `this is no regular expression: ${error instanceof Error ? error.message : String(error)}. Correct it.`
  }
}

type DecimalPrimitive = AvroPrimitive & {
  readonly logical: { readonly name: 'decimal'; readonly precision: number; readonly scale: number }
}

function isDecimal(type: AvroType): type is DecimalPrimitive {
  return type.kind === 'bytes' && type.logical?.name === 'decimal'
}

function isExact(type: AvroType): boolean {
  return isDecimal(type) || (type.kind === 'long' && type.js === 'bigint')
}

function nameOf(type: AvroType): string {
  return 'logical' in type && type.logical !== undefined ? type.logical.name : type.kind
}

function attributeOf(rule: keyof FieldRules): string {
  return RULE_ATTRIBUTES.find((attribute) => ATTRIBUTES[attribute] === rule) ?? rule
}
