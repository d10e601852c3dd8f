/**
 * The one shape that travels: CloudEvents 1.0 with our extensions, in the names CloudEvents gives them.
 *
 * @see https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md
 */
export interface Envelope {
  readonly specversion: '1.0'
  /** Unique within `source`; ours are UUIDv7. */
  readonly id: string
  /** A URI reference: `/<service>`. */
  readonly source: string
  /** `<full name>.v<version>`. */
  readonly type: string
  /** RFC 3339, UTC. */
  readonly time: string
  readonly datacontenttype: string
  readonly subject: string | null
  readonly correlationid: string
  readonly causationid: string | null
  readonly traceparent: string | null
  readonly tracestate: string | null
  /** Set only where it differs from the record's key. */
  readonly partitionkey: string | null
  /** Whatever else travels as `ce_<name>`: `sagaid`, a tenant, a region. */
  readonly extensions: Readonly<Record<string, string>>
  /** The framed Avro payload; `null` is a tombstone. */
  readonly data: Buffer | null
}
