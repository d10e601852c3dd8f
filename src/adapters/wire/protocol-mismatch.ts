/**
 * What the two sides of a connection do not agree about, and what to do; the words are OpenSSL's, Node's, the clients' and those of {@link strangeReply}.
 *
 * @param text the code and the message of an error
 * @returns `undefined` when it was something else
 */
export function protocolMismatch(text: string): string | undefined {
  if (/it speaks TLS|Broker requires TLS/.test(text))
    return 'the port speaks TLS and this service does not. Set kafka.ssl, or take the address of a plaintext port.'
  if (/before secure TLS connection|WRONG_VERSION_NUMBER|wrong version number/i.test(text))
    return 'this service speaks TLS and the other side does not. Is this port TLS? Take the address of a TLS port, or leave kafka.ssl out.'
  if (/it speaks HTTP/.test(text)) return 'the port speaks HTTP. Take the address of a Kafka broker.'
  if (/does not speak the protocol/.test(text))
    return 'what answers there does not speak the protocol of Kafka. Take the address of a broker.'
  if (/CERTIFICATE_REQUIRED|certificate required|bad certificate|handshake failure/i.test(text))
    return `the broker wants a certificate of this service that it trusts (${text.trim()}). Set kafka.ssl.cert and kafka.ssl.key.`
  if (/SELF_SIGNED|UNABLE_TO_|ERR_TLS_CERT|CERT_HAS_EXPIRED|self.signed|unable to verify|altnames/i.test(text))
    return `this service does not trust the broker's certificate (${text.trim()}). Set kafka.ssl.ca to the certificate of its authority, and use a name that the certificate holds.`
  return undefined
}

/** What it is that answers so. */
export function strangeReply(start: Buffer = Buffer.alloc(0)): string {
  if (start[0] === 0x15 && start[1] === 0x03) return 'it speaks TLS'
  if (start.toString('latin1', 0, 5) === 'HTTP/') return 'it speaks HTTP'
  return 'it does not speak the protocol of Kafka'
}
