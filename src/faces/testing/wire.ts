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
    // Each message of the protocol is one write, and a statement's first one carries its text.
    const hearing = (...args: unknown[]): boolean => {
      const sql = statementIn(args[0])
      if (sql !== undefined) this.#hold(socket, this.#hooks.onStatement(sql))
      if (this.#cut) return false
      // The driver lets the statement go as a whole, in this turn of the loop.
      if (sql === 'commit') setImmediate(() => this.#hooks.onCommitSent())
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

/** @see https://www.postgresql.org/docs/current/protocol-message-formats.html, Parse: name and text, each ended by a zero */
function statementIn(message: unknown): string | undefined {
  if (!Buffer.isBuffer(message) || message[0] !== PARSE) return undefined
  const textStart = message.indexOf(0, 5) + 1
  return message.toString('utf8', textStart, message.indexOf(0, textStart))
}

function connectionCut(): Error {
  return Object.assign(new Error('Connection terminated: the process was ended by its test.'), { code: 'ECONNRESET' })
}
