import { Socket } from 'node:net'

export interface WireHooks {
  /** Hears of every statement before it leaves. @returns how long to hold it back, in ms; 0 to let it go */
  onStatement(sql: string): number
  /** Hears that a COMMIT has left, before its reply can have come. */
  onCommitSent(): void
}

/** The connections of one process to its database: they can be cut all at once, as its death would. */
export class Wire {
  readonly #sockets = new Set<Socket>()
  readonly #hooks: WireHooks
  #cut = false

  constructor(hooks: WireHooks) {
    this.#hooks = hooks
  }

  get isCut(): boolean {
    return this.#cut
  }

  /** What a `pg` client opens its connection with. */
  readonly stream = (): Socket => {
    const socket = new Socket()
    this.#sockets.add(socket)
    socket.once('close', () => this.#sockets.delete(socket))
    // Whoever uses it hears of it too; one that nobody uses any more must not end the test's process.
    socket.on('error', () => undefined)
    const connect = socket.connect.bind(socket)
    const write = socket.write.bind(socket)
    const prepared = new Map<string, string>()
    const hearing = (...args: unknown[]): boolean => {
      for (const sql of statementsIn(args[0], prepared)) {
        this.#hold(socket, this.#hooks.onStatement(sql))
        if (this.#cut) return false
        // The driver lets the statement go as a whole, in this turn of the loop.
        if (sql === 'commit') setImmediate(() => this.#hooks.onCommitSent())
      }
      if (this.#cut) return false
      return Reflect.apply(write, socket, args)
    }
    Object.assign(socket, {
      connect: (...args: unknown[]) => {
        if (this.#cut) return socket.destroy(connectionCut())
        Reflect.apply(connect, socket, args)
        // Only now: a socket of Node's takes its own `write` back when it connects.
        return Object.assign(socket, { write: hearing })
      },
    })
    return socket
  }

  /** Nothing that has not left yet will leave; nothing more is heard. */
  cut(): void {
    this.#cut = true
    for (const socket of this.#sockets) socket.destroy()
  }

  #hold(socket: Socket, ms: number): void {
    if (ms <= 0) return
    socket.cork()
    setTimeout(() => socket.uncork(), ms)
  }
}

const PARSE = 0x50
const BIND = 0x42
/** Its kind, and its length without it. */
const HEAD_BYTES = 5
/** More than the product prepares on one connection. */
const PREPARED_MAX = 10_000

/**
 * The statements that one write sends: those without a name with their text, those with one when they are run, which is
 * all that is sent of them from the second time on.
 *
 * @param prepared the texts behind the names, of this connection
 * @see https://www.postgresql.org/docs/current/protocol-message-formats.html, Parse: name and text, Bind: portal and name, each ended by a zero
 */
export function statementsIn(written: unknown, prepared: Map<string, string>): readonly string[] {
  if (!Buffer.isBuffer(written)) return []
  const statements: string[] = []
  // What does not begin with a kind of ours (the first message of a connection has none) is of no interest to its end.
  for (let at = 0; at + HEAD_BYTES <= written.length; at += 1 + Math.max(4, written.readUInt32BE(at + 1))) {
    if (written[at] === 0) break
    const [first, second] = textsIn(written, at + HEAD_BYTES)
    if (first === undefined || second === undefined) continue
    if (written[at] === PARSE && first === '') statements.push(second)
    if (written[at] === PARSE && first !== '' && prepared.size < PREPARED_MAX) prepared.set(first, second)
    const run = written[at] === BIND ? prepared.get(second) : undefined
    if (run !== undefined) statements.push(run)
  }
  return statements
}

function textsIn(message: Buffer, start: number): readonly string[] {
  const end = message.indexOf(0, start)
  const end2 = message.indexOf(0, end + 1)
  return end < 0 || end2 < 0 ? [] : [message.toString('utf8', start, end), message.toString('utf8', end + 1, end2)]
}

function connectionCut(): Error {
  return Object.assign(new Error('Connection terminated: the process was ended by its test.'), { code: 'ECONNRESET' })
}
