import { randomBytes } from 'node:crypto'
import { link, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { z } from 'zod'
import { ConfigurationError } from '../../foundation/errors.ts'
import { isRunning, processStart } from '../stack/process-identity.ts'

/** A watchdog ends what a killed process left behind, by force after 15 s. */
export const orphansMsMax = 20_000

const recordSchema = z.object({
  /** The process that started the stack and stops it. */
  pid: z.int().positive(),
  /** Which process of that pid: see `processStart`. */
  start: z.string(),
  command: z.enum(['up', 'run']),
  phase: z.enum(['starting', 'up']),
  environment: z.record(z.string(), z.string()),
  servers: z.array(
    z.object({ name: z.string(), line: z.string(), processes: z.array(z.object({ pid: z.int().positive(), start: z.string() })) }),
  ),
})

/** The stack that a project has running. */
export type StackRecord = z.output<typeof recordSchema>

/**
 * The file in the project's `.trunkline` folder that says which stack is running; at most one process holds it.
 *
 * What a process left there when it died is no stack: the record counts only while that very process runs.
 */
export class DevState {
  readonly directory: string
  readonly #path: string

  constructor(project: string) {
    this.directory = join(project, '.trunkline')
    this.#path = join(this.directory, 'stack.json')
  }

  get logPath(): string {
    return join(this.directory, 'dev.log')
  }

  /** Makes the folder, which keeps itself out of version control. */
  async makeDirectory(): Promise<void> {
    await mkdir(this.directory, { recursive: true })
    await writeFile(join(this.directory, '.gitignore'), '*\n')
  }

  /** @returns the record of a process that runs; `undefined` when there is none */
  async running(): Promise<StackRecord | undefined> {
    const record = await readRecord(this.#path)
    return record !== undefined && (await isRunning(record.pid, record.start)) ? record : undefined
  }

  /** Takes the file for this process. @returns the record of whoever has it, when that is another one that runs */
  async claim(command: StackRecord['command']): Promise<StackRecord | undefined> {
    await this.makeDirectory()
    const mine: StackRecord = {
      pid: process.pid,
      start: (await processStart(process.pid)) ?? '',
      command,
      phase: 'starting',
      environment: {},
      servers: [],
    }
    for (let attempt = 0; attempt < 10; attempt++) {
      if (await this.#create(mine)) return undefined
      const other = await readRecord(this.#path)
      if (other !== undefined && (await isRunning(other.pid, other.start))) return other
      // Its process was killed; its servers are being ended, and hold data and ports until they are.
      if (other !== undefined) await serversEnd(other, orphansMsMax)
      await this.#removeStale()
    }
    throw new ConfigurationError('STACK_STATE', `${this.#path} cannot be taken: something keeps writing it. Remove it and try again.`)
  }

  /** Says that the stack of this process is up, and where. */
  async publish(stack: Pick<StackRecord, 'environment' | 'servers'>): Promise<void> {
    const record = await readRecord(this.#path)
    if (record?.pid !== process.pid) return
    const draft = await this.#draft({ ...record, phase: 'up', ...stack })
    await rename(draft, this.#path)
  }

  /** Whether this process still has the file; a project's folder may be deleted under a stack that runs. */
  async isHeld(): Promise<boolean> {
    return (await readRecord(this.#path))?.pid === process.pid
  }

  /** Gives the file up, if this process has it. */
  async release(): Promise<void> {
    const record = await readRecord(this.#path)
    if (record?.pid === process.pid) await rm(this.#path, { force: true })
  }

  /** A hard link fails when the name is taken, and the file behind it is complete from the first moment. */
  async #create(record: StackRecord): Promise<boolean> {
    const draft = await this.#draft(record)
    try {
      await link(draft, this.#path)
      return true
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return false
      throw error
    } finally {
      await rm(draft, { force: true })
    }
  }

  /** Moved before it is judged, so that of two processes only one removes it, and never a successor's. */
  async #removeStale(): Promise<void> {
    const aside = `${this.#path}.${randomBytes(4).toString('hex')}`
    await rename(this.#path, aside).catch(() => undefined)
    const record = await readRecord(aside)
    if (record !== undefined && (await isRunning(record.pid, record.start))) await link(aside, this.#path).catch(() => undefined)
    await rm(aside, { force: true })
  }

  async #draft(record: StackRecord): Promise<string> {
    const draft = `${this.#path}.${randomBytes(4).toString('hex')}`
    await writeFile(draft, `${JSON.stringify(record, null, 2)}\n`, { mode: 0o600 })
    return draft
  }
}

/** Waits until no server of the record runs. @returns whether that came true in time */
export async function serversEnd({ servers }: StackRecord, withinMs: number): Promise<boolean> {
  const processes = servers.flatMap((server) => server.processes)
  for (const deadline = Date.now() + withinMs; ; await sleep(50)) {
    const running = await Promise.all(processes.map(({ pid, start }) => isRunning(pid, start)))
    if (!running.includes(true)) return true
    if (Date.now() > deadline) return false
  }
}

async function readRecord(path: string): Promise<StackRecord | undefined> {
  try {
    return recordSchema.parse(JSON.parse(await readFile(path, 'utf8')))
  } catch {
    return undefined
  }
}
