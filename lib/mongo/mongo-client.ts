/**
 * Mongo: how the gateway talks to MongoDB, or to any server of its wire protocol. What is stored
 * there is the business of lib/recording and lib/identity.
 *
 * May import: errors and other folders of a lower level; `mongodb`.
 */
import { MongoClient, ReadConcern, type Collection, type Document } from 'mongodb'

import { isNamespaceNotFound } from './mongo-error.ts'

export interface MongoOptions {
  uri: string
  /** Else the one that the URI names, else `podgate`. */
  database?: string
  /** How long to look for a server that answers. */
  serverSelectionMs?: number
  /** How long one operation may take on the wire. */
  operationMs?: number
}

const SERVER_SELECTION_MS = 2_000
/** Longer than a slow store needs (2 s a write is slow), and twice within a session's patience. */
const OPERATION_MS = 8_000

/** @param maxConnections where the URI does not say */
export function openMongo(options: MongoOptions, maxConnections: number): MongoClient {
  const operationMs = options.operationMs ?? OPERATION_MS
  return new MongoClient(options.uri, {
    appName: 'podgate',
    // Frames are compressed already; compressing them on the wire again wins nothing.
    compressors: ['none'],
    writeConcern: { w: 'majority', journal: true, wtimeoutMS: operationMs },
    readConcern: new ReadConcern('majority'),
    readPreference: 'primary',
    // We repeat writes ourselves, by ids that make it safe, on any server.
    retryWrites: false,
    retryReads: false,
    serverSelectionTimeoutMS: options.serverSelectionMs ?? SERVER_SELECTION_MS,
    connectTimeoutMS: options.serverSelectionMs ?? SERVER_SELECTION_MS,
    waitQueueTimeoutMS: operationMs,
    socketTimeoutMS: operationMs,
    ...(namesPoolSize(options.uri) ? {} : { maxPoolSize: maxConnections }),
    ignoreUndefined: true,
    promoteBuffers: true,
  })
}

/** The driver itself falls back to a database named `test`. */
export function databaseName({ uri, database }: MongoOptions): string {
  const named = /^mongodb(?:\+srv)?:\/\/[^/]+\/([^?]+)/.exec(uri)?.[1]
  return database ?? (named === undefined ? 'podgate' : decodeURIComponent(named))
}

/** Connection string options are named in any case. What stands in them would lose to the driver's own. */
function namesPoolSize(uri: string): boolean {
  const at = uri.indexOf('?')
  const names = at === -1 ? [] : [...new URLSearchParams(uri.slice(at)).keys()]
  return names.some((name) => name.toLowerCase() === 'maxpoolsize')
}

export interface IndexSpec {
  key: Readonly<Record<string, 1 | -1>>
  name: string
  unique?: boolean
}

/** Creates those that are missing: not every server survives being asked for an index that it has. */
export async function prepareIndexes<T extends Document>(
  collection: Collection<T>,
  wanted: readonly IndexSpec[],
): Promise<void> {
  const present = await presentIndexes(collection)
  const missing = wanted.filter(({ name }) => !present.has(name))
  if (missing.length > 0) await collection.createIndexes(missing)
}

async function presentIndexes<T extends Document>(collection: Collection<T>): Promise<Set<string>> {
  try {
    const indexes = await collection.listIndexes().toArray()
    return new Set(indexes.map(({ name }: { name?: unknown }) => String(name)))
  } catch (error) {
    if (isNamespaceNotFound(error)) return new Set()
    throw error
  }
}
