import driver, { type QueryConfig } from 'pg'

const TYPE = 1
const LENGTH = 4
/** Of a message's strings: UTF-8 takes at most three bytes for each unit of a JavaScript string. */
const BYTES_A_UNIT = 3
/** Of a longer one they are counted, so that a large text does not reserve three times its size. */
const COUNTED_FROM = 1_024
/** The protocol counts them in 16 bits. */
const PARAMETERS_MAX = 65_535

export type Known = 'nothing' | 'its text' | 'that it has no columns'

type Parameter = string | Buffer | null

/**
 * Statements as the server reads them: for each Parse, Bind, Describe and Execute, and for all of them one Sync.
 *
 * A statement is written whole or not at all.
 *
 * @see https://www.postgresql.org/docs/current/protocol-message-formats.html
 */
export class StatementBytes {
  #bytes: Buffer
  #length = 0

  /** @param expected how many bytes it will be; it grows */
  constructor(expected: number) {
    this.#bytes = Buffer.allocUnsafe(expected)
  }

  get length(): number {
    return this.#length
  }

  /**
   * @param known what the server was told of the statement before, under its name, and what it has told
   * @throws what the driver throws of a value that it cannot write; nothing was added
   */
  add({ text, values, name = '' }: QueryConfig, known: Known): void {
    const parameters = toParameters(values ?? [])
    const before = this.#length
    try {
      if (known === 'nothing') this.#parse(name, text)
      this.#bind(name, parameters)
      this.#append(known === 'that it has no columns' ? execute : describeAndExecute)
    } catch (error) {
      // There is no room for it in this process.
      this.#length = before
      throw error
    }
  }

  /** @returns all of it, which is kept and written to no longer */
  end(): Buffer {
    this.#append(sync)
    const bytes = this.#bytes.subarray(0, this.#length)
    this.#bytes = nothing
    return bytes
  }

  #parse(name: string, text: string): void {
    const begun = this.#begin('P')
    this.#string(name)
    this.#string(text)
    // The server finds out the types of parameters.
    this.#int16(0)
    this.#end(begun)
  }

  #bind(name: string, parameters: readonly Parameter[]): void {
    const begun = this.#begin('B')
    // The portal without a name.
    this.#string('')
    this.#string(name)
    this.#int16(parameters.length)
    for (const parameter of parameters) this.#int16(Buffer.isBuffer(parameter) ? 1 : 0)
    this.#int16(parameters.length)
    for (const parameter of parameters) this.#parameter(parameter)
    // All columns of the answer as text.
    this.#int16(0)
    this.#end(begun)
  }

  #parameter(parameter: Parameter): void {
    if (parameter === null) {
      this.#int32(-1)
    } else if (typeof parameter === 'string') {
      this.#reserve(LENGTH + bytesMaxOf(parameter))
      const length = this.#bytes.write(parameter, this.#length + LENGTH)
      this.#bytes.writeInt32BE(length, this.#length)
      this.#length += LENGTH + length
    } else {
      this.#int32(parameter.length)
      this.#append(parameter)
    }
  }

  #begin(type: string): number {
    this.#reserve(TYPE + LENGTH)
    const begun = this.#length
    this.#bytes[begun] = type.charCodeAt(0)
    this.#length += TYPE + LENGTH
    return begun
  }

  #end(begun: number): void {
    this.#bytes.writeInt32BE(this.#length - begun - TYPE, begun + TYPE)
  }

  /** Text with a zero byte in it ends there, and the server refuses what comes behind it. */
  #string(text: string): void {
    this.#reserve(bytesMaxOf(text) + 1)
    this.#length += this.#bytes.write(text, this.#length)
    this.#bytes[this.#length++] = 0
  }

  #append(bytes: Buffer): void {
    this.#reserve(bytes.length)
    this.#length += bytes.copy(this.#bytes, this.#length)
  }

  #int16(value: number): void {
    this.#reserve(2)
    // Without a sign, as the server counts parameters.
    this.#length = this.#bytes.writeUInt16BE(value, this.#length)
  }

  #int32(value: number): void {
    this.#reserve(4)
    this.#length = this.#bytes.writeInt32BE(value, this.#length)
  }

  #reserve(bytes: number): void {
    if (this.#bytes.length - this.#length >= bytes) return
    const larger = Buffer.allocUnsafe(Math.max(this.#bytes.length * 2, this.#length + bytes))
    this.#bytes.copy(larger, 0, 0, this.#length)
    this.#bytes = larger
  }
}

function bytesMaxOf(text: string): number {
  return text.length < COUNTED_FROM ? text.length * BYTES_A_UNIT : Buffer.byteLength(text)
}

/** The driver's own texts of values, so that a value is the same whichever way a statement is sent. */
function toParameters(values: readonly unknown[]): Parameter[] {
  if (values.length > PARAMETERS_MAX)
    throw new RangeError(`A statement has at most ${PARAMETERS_MAX} parameters, this one has ${values.length}.`)
  return values.map(toParameter)
}

function toParameter(value: unknown): Parameter {
  // The driver takes these as they are.
  if (typeof value === 'string' || Buffer.isBuffer(value)) return value
  const parameter: unknown = plainArray(value) ?? driverUtils.prepareValue(value)
  if (parameter === null || parameter === undefined) return null
  if (typeof parameter === 'string' || Buffer.isBuffer(parameter)) return parameter
  throw new TypeError('A parameter has no text that could be sent.')
}

/**
 * The driver's own text of an array, in a tenth of its time: it looks for what must be escaped in each text twice, and our
 * statements have hundreds of ids.
 *
 * @returns `undefined` for whatever is no list of numbers and of texts in which nothing is to be escaped
 */
function plainArray(value: unknown): string | undefined {
  if (!Array.isArray(value) || value.length === 0) return undefined
  for (const each of value) if (!isPlain(each)) return undefined
  return `{"${value.join('","')}"}`
}

function isPlain(value: unknown): boolean {
  return typeof value === 'number' || (typeof value === 'string' && !value.includes('"') && !value.includes('\\'))
}

/** The driver exports it for such uses, but its types do not say so. */
const driverUtils: { prepareValue(value: unknown): unknown } = Reflect.get(driver, 'utils')

/** Of the portal without a name, and all its rows. */
const execute = message('E', '\0\0\0\0\0')
const describeAndExecute = Buffer.concat([message('D', 'P\0'), execute])

const sync = message('S', '')
const nothing = Buffer.alloc(0)

function message(type: string, body: string): Buffer {
  const length = Buffer.alloc(LENGTH)
  length.writeInt32BE(LENGTH + body.length)
  return Buffer.concat([Buffer.from(type), length, Buffer.from(body, 'latin1')])
}
