import type { Incident, IncidentKind, IncidentLog } from '../incident.ts'

/** Episodes that are remembered: of topics, and of messages that were refused; beyond it the oldest is forgotten. */
const EPISODES_MAX = 10_000

/** Records an incident once in an episode, however many terms that lasts: the record tells of what goes on, not of each attempt. */
export class Episodes {
  readonly #incidents: IncidentLog
  readonly #told = new Map<string, Promise<void>>()
  /** What could not be recorded yet. */
  readonly #untold = new Map<string, Incident>()

  constructor(incidents: IncidentLog) {
    this.#incidents = incidents
  }

  /** @throws TransientError it is not recorded yet; the next call tries again */
  async tell(incident: Incident): Promise<void> {
    await this.#once(incident, () => this.#incidents.record(incident))
  }

  /** As `tell`, of what outlives processes and changes its details where it changes: no successor tells the same again. */
  async tellNews(incident: Incident): Promise<void> {
    await this.#once(incident, () => this.#incidents.recordNews(incident))
  }

  /** Records it now, or when `tellRest` succeeds. */
  note(incident: Incident): void {
    this.tell(incident).catch(() => {
      if (this.#untold.size < EPISODES_MAX) this.#untold.set(nameOf(incident), incident)
    })
  }

  /** Whether something could not be recorded yet. */
  get hasRest(): boolean {
    return this.#untold.size > 0
  }

  /** Tries again what could not be recorded. */
  async tellRest(): Promise<void> {
    for (const [episode, incident] of this.#untold) {
      await this.tell(incident)
      this.#untold.delete(episode)
    }
  }

  /** What is told of it from now on is another episode; with a kind, of that kind alone. */
  end(subject: string, kind?: IncidentKind): void {
    const about = `${subject} `
    const isOver = (episode: string): boolean => (kind === undefined ? episode.startsWith(about) : episode === about + kind)
    for (const episode of this.#told.keys()) if (isOver(episode)) this.#told.delete(episode)
  }

  async #once(incident: Incident, record: () => Promise<void>): Promise<void> {
    const episode = nameOf(incident)
    try {
      await (this.#told.get(episode) ?? this.#begin(episode, record()))
    } catch (error) {
      this.#told.delete(episode)
      throw error
    }
  }

  #begin(episode: string, recording: Promise<void>): Promise<void> {
    const [oldest] = this.#told.keys()
    if (this.#told.size >= EPISODES_MAX && oldest !== undefined) this.#told.delete(oldest)
    this.#told.set(episode, recording)
    return recording
  }
}

function nameOf({ kind, subject }: Incident): string {
  return `${subject} ${kind}`
}
