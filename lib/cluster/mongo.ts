/** A MongoDB to keep transcripts in: the one that is given, or FerretDB started here. */
import { mkdirSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'

import { buildGoModule } from './build.ts'
import { FERRETDB } from './go-programs.ts'
import { openInstance, type OpenInstance } from './lifecycle.ts'
import { type Program, startProgram, waitUntil } from './processes.ts'
import { type Progress, silentProgress } from './progress.ts'

export interface MongoOptions {
  /** A running server of the MongoDB wire protocol, else $MONGODB_URI; then nothing is built or started. */
  uri?: string
  /** A folder for its data alone; removed by close(). */
  stateDir: string
  progress?: Progress
  keepState?: boolean
}

export interface Mongo {
  uri: string
  /** False for a given server: it is not ours to stop. */
  local: boolean
  stop(): Promise<void>
  start(): Promise<void>
  close(): Promise<void>
}

export async function startMongo(options: MongoOptions): Promise<Mongo> {
  const given = options.uri ?? process.env['MONGODB_URI'] ?? ''
  if (given !== '') return givenMongo(given)
  const progress = options.progress ?? silentProgress
  const binaries = await buildGoModule(FERRETDB, { progress })
  const instance = await openInstance({
    name: 'mongodb',
    stateDir: options.stateDir,
    ...(options.keepState === undefined ? {} : { keepState: options.keepState }),
  })
  try {
    progress.update({ what: 'Starting FerretDB' })
    return await startFerret(instance, join(binaries, 'ferretdb'))
  } catch (error) {
    await instance.close()
    throw error
  }
}

function givenMongo(uri: string): Mongo {
  return { uri, local: false, stop: doNothing, start: doNothing, close: doNothing }
}

async function doNothing(): Promise<void> {}

async function startFerret(instance: OpenInstance, command: string): Promise<Mongo> {
  const port = instance.ports.mongodb
  const data = join(instance.stateDir, 'data')
  mkdirSync(data, { mode: 0o700 })
  let running: Program | undefined
  const start = async (): Promise<void> => {
    if (running !== undefined && running.ended === undefined) return
    const args = [`--listen=127.0.0.1:${port}`, `--data=${data}`]
    running = startProgram(instance, { name: 'ferretdb', command, args })
    await waitUntil(async () => await accepts(port), {
      what: 'FerretDB',
      timeoutMs: 20_000,
      programs: [running],
    })
  }
  const stop = async (): Promise<void> => {
    const program = running
    if (program === undefined) return
    running = undefined
    await program.stop()
  }
  await start()
  const uri = `mongodb://127.0.0.1:${port}/`
  return { uri, local: true, start, stop, close: () => instance.close() }
}

async function accepts(port: number): Promise<boolean> {
  return await new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port })
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}
