import { v5, v7 } from 'uuid'

/**
 * The namespace under which Trunkline names things by UUIDv5. It is part of the stored format:
 * inbox ids, saga instances and commands are derived from it, so it never changes.
 */
export const NAMESPACE = '7d0f6a2e-6f0b-5c1e-9b53-2f1d1c8e4a70'

/** A new message id: UUIDv7, later ids of this process sort after earlier ones. */
export function newMessageId(): string {
  return v7()
}

/** A random-enough id for an owner, a process instance or a token. */
export function newToken(): string {
  return v7()
}

/** The same name gives the same id, for ever (RFC 9562, UUIDv5). */
export function nameId(name: string, namespace: string = NAMESPACE): string {
  return v5(name, namespace)
}

const sourceNamespaces = new Map<string, string>()

/**
 * The id by which a consumer remembers a message: unique for (`source`, `id`), which is what
 * CloudEvents promises, so messages of foreign producers fit too.
 */
export function inboxId(source: string, id: string): string {
  let namespace = sourceNamespaces.get(source)
  if (namespace === undefined) {
    namespace = v5(source, NAMESPACE)
    // Sources are service names; a hostile topic could invent endless ones.
    if (sourceNamespaces.size < 1_000) sourceNamespaces.set(source, namespace)
  }
  return v5(id, namespace)
}
