import { type ChildProcess, spawn } from 'node:child_process'
import { open, readFile } from 'node:fs/promises'
import { messageOf, TransientError } from '../../foundation/errors.ts'
import { endsWithin } from '../../foundation/service.ts'
import type { Owner } from './server-owner.ts'
import type { Release, Watchdog } from './watchdog.ts'

/** How long after a polite signal a server is ended by force. */
const killAfterMs = 15_000

export interface ServerCommand {
  /** What to call it in messages: `Kafka node 1`. */
  readonly name: string
  readonly command: string
  readonly args: readonly string[]
  readonly env?: NodeJS.ProcessEnv
  readonly cwd: string
  /** Gets both output streams; what it held before is gone. */
  readonly logPath: string
  /** The OS user it runs as, when not ours. */
  readonly owner?: Owner | undefined
  /** What asks it to end. */
  readonly stopSignal: NodeJS.Signals
  /** What ends it when this process dies before it could stop it. */
  readonly orphanSignal: NodeJS.Signals
}

/** One server in a process of its own, in its own session, that never outlives us. */
export class ServerProcess {
  readonly #watchdog: Watchdog
  readonly #command: ServerCommand
  readonly #exited: Promise<string>
  #resolveExited: (how: string) => void = () => undefined
  #child: ChildProcess | undefined
  #release: Release | undefined
  #running = false

  constructor(parts: { readonly watchdog: Watchdog }, command: ServerCommand) {
    this.#watchdog = parts.watchdog
    this.#command = command
    this.#exited = new Promise((resolve) => {
      this.#resolveExited = resolve
    })
  }

  get name(): string {
    return this.#command.name
  }

  get pid(): number | undefined {
    return this.#child?.pid
  }

  get running(): boolean {
    return this.#running
  }

  /** Resolves when the process has ended, with how it ended. */
  get exited(): Promise<string> {
    return this.#exited
  }

  /** Starts the process; it need not be ready when this resolves. @throws TransientError it could not be started */
  async start(): Promise<void> {
    const { name, command, args, env, cwd, logPath, owner, orphanSignal } = this.#command
    const log = await open(logPath, 'w')
    try {
      const child = spawn(command, args, {
        cwd,
        env: env ?? process.env,
        detached: true,
        stdio: ['ignore', log.fd, log.fd],
        ...owner,
      })
      this.#child = child
      await new Promise<void>((resolve, reject) => child.once('spawn', resolve).once('error', reject))
      this.#running = true
      child.once('exit', (code, signal) => this.#end(signal === null ? `exit code ${code}` : `signal ${signal}`))
      child.unref()
      if (child.pid !== undefined) this.#release = await this.#watchdog.chargeProcess(child.pid, orphanSignal, killAfterMs)
    } catch (error) {
      throw new TransientError('SERVER_NOT_STARTED', `${name} could not be started: ${messageOf(error)}.`, { command }, error)
    } finally {
      await log.close()
    }
  }

  /** Ends the process: politely, then by force. Resolves when it is gone. */
  async stop(signal: NodeJS.Signals = this.#command.stopSignal): Promise<void> {
    const child = this.#child
    if (child === undefined || !this.#running) return
    child.ref()
    child.kill(signal)
    if (!(await endsWithin(this.exited, killAfterMs))) {
      child.kill('SIGKILL')
      await this.exited
    }
  }

  /** The last lines of its output, for a message that says why it did not start. */
  async logTail(lines = 12): Promise<string> {
    const log = await readFile(this.#command.logPath, 'utf8').catch(() => '')
    return log.trimEnd().split('\n').slice(-lines).join('\n')
  }

  #end(how: string): void {
    this.#running = false
    this.#release?.()
    this.#resolveExited(how)
  }
}
