/** What is said on one forwarded connection. */
import type {
  ConnectionEnd,
  ForwardClientSession,
  ForwardConnection,
} from '../../../lib/streams/forward.ts'

export interface Conversation {
  connection: ForwardConnection
  heard(): string
  ended: boolean
  end: ConnectionEnd | undefined
}

/** Opens a connection and listens. */
export async function connect(session: ForwardClientSession, port: number): Promise<Conversation> {
  const connection = await session.open(port)
  const chunks: Uint8Array[] = []
  const conversation: Conversation = {
    connection,
    heard: () => Buffer.concat(chunks).toString(),
    ended: false,
    end: undefined,
  }
  connection.start({
    onData: (data) => chunks.push(data),
    onEnd: () => (conversation.ended = true),
    onDrain: () => undefined,
    onClose: (end) => (conversation.end = end),
  })
  return conversation
}
