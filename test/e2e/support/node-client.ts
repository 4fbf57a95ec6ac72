/** Ways into a pod by @kubernetes/client-node, as programs use them. */
import { createHash } from 'node:crypto'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough, Readable, Writable } from 'node:stream'

import {
  Attach,
  Cp,
  Exec,
  KubeConfig,
  Log,
  PortForward,
  type V1Status,
} from '@kubernetes/client-node'

import { eventually } from './shop.ts'

export interface Target {
  kubeconfig: string
  namespace: string
  pod: string
}

const CONTAINER = 'main'

/** A stream that keeps what it is given, and tells when that holds something. */
class Sink extends Writable {
  readonly #chunks: Buffer[] = []
  #onChunk: () => void = () => undefined

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.#chunks.push(chunk)
    this.#onChunk()
    done()
  }

  get bytes(): Buffer {
    return Buffer.concat(this.#chunks)
  }

  get text(): string {
    return this.bytes.toString()
  }

  async until(isEnough: (bytes: Buffer) => boolean): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#onChunk = () => {
        if (isEnough(this.bytes)) resolve()
      }
      this.#onChunk()
    })
  }
}

function configOf(target: Target): KubeConfig {
  const config = new KubeConfig()
  config.loadFromFile(target.kubeconfig)
  return config
}

interface ExecResult {
  stdout: string
  stderr: string
  status: V1Status
}

export async function execute(
  target: Target,
  script: string,
  input?: Buffer | string,
): Promise<ExecResult> {
  const [stdout, stderr] = [new Sink(), new Sink()]
  const stdin = input === undefined ? null : Readable.from([input])
  const command = ['sh', '-c', script]
  const status = await new Promise<V1Status>((resolve, reject) => {
    new Exec(configOf(target))
      .exec(target.namespace, target.pod, CONTAINER, command, stdout, stderr, stdin, false, resolve)
      .catch(reject)
  })
  return { stdout: stdout.text, stderr: stderr.text, status: withoutCommand(status) }
}

/** Over WebSocket the API server writes the message about an exit code, over SPDY the node does. */
function withoutCommand(status: V1Status): V1Status {
  const plain = status.message?.replace(/^(command terminated with non-zero exit code):.*$/, '$1')
  if (plain !== undefined) status.message = plain
  return status
}

export async function attach(target: Target): Promise<string> {
  const [stdout, stdin] = [new Sink(), new PassThrough()]
  const socket = await new Attach(configOf(target)).attach(
    target.namespace,
    target.pod,
    CONTAINER,
    stdout,
    null,
    stdin,
    false,
  )
  stdin.write('hello\n')
  await stdout.until((bytes) => bytes.includes('you said: hello\n'))
  socket.close()
  return stdout.text
}

export async function followLog(target: Target, pod: string): Promise<string> {
  const log = new Sink()
  const ended = new Promise<void>((resolve, reject) => {
    log.on('finish', resolve)
    log.on('error', reject)
  })
  await new Log(configOf(target)).log(target.namespace, pod, CONTAINER, log, { follow: true })
  await ended
  return log.text
}

/** What the web server of the pod says to the request, to the end of the first line of its answer's body. */
export async function forward(target: Target, port: number, request: string): Promise<string> {
  const [output, errors, input] = [new Sink(), new Sink(), new PassThrough()]
  const socket = await new PortForward(configOf(target)).portForward(
    target.namespace,
    target.pod,
    [port],
    output,
    errors,
    input,
  )
  input.write(request)
  await output.until((bytes) => /\r?\n\r?\n.*\n/.test(bytes.toString()))
  if ('close' in socket) socket.close()
  return output.text.replaceAll(/^Date: .*\r\n/gm, '')
}

/** `Cp` tells nobody when it is done; the exec below it does. */
function waitingCp(config: KubeConfig): { cp: Cp; done: Promise<V1Status> } {
  const exec = new Exec(config)
  const original = exec.exec.bind(exec)
  const { promise, resolve, reject } = Promise.withResolvers<V1Status>()
  exec.exec = async (...args) => {
    const [namespace, pod, container, command, stdout, stderr, stdin, tty, onStatus] = args
    const opening = original(
      namespace,
      pod,
      container,
      command,
      stdout,
      stderr,
      stdin,
      tty,
      (status) => {
        onStatus?.(status)
        resolve(status)
      },
    )
    opening.catch(reject)
    return await opening
  }
  return { cp: new Cp(config, exec), done: promise }
}

/** Copies a folder into the pod and out again: the outcomes, and whether the file is still the same. */
export async function copyBothWays(target: Target): Promise<object> {
  const folder = await mkdtemp(join(tmpdir(), 'podgate-cp-'))
  try {
    await mkdir(join(folder, 'up'))
    const content = Buffer.alloc(500_001, 'podgate\0\xfe', 'latin1')
    await writeFile(join(folder, 'up', 'file.bin'), content)
    const up = waitingCp(configOf(target))
    await up.cp.cpToPod(target.namespace, target.pod, CONTAINER, join(folder, 'up'), '/tmp')
    const upStatus = await up.done
    const { stdout } = await execute(target, 'sha256sum /tmp/file.bin')
    const down = waitingCp(configOf(target))
    await down.cp.cpFromPod(target.namespace, target.pod, CONTAINER, 'file.bin', folder, '/tmp')
    const downStatus = await down.done
    const back = await fileOnceWritten(join(folder, 'file.bin'), content.length)
    const isSame = digestOf(back) === digestOf(content)
    return { upStatus, stdout, downStatus, isSame }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** The status comes before the last bytes are on the disk. */
async function fileOnceWritten(file: string, size: number): Promise<Buffer> {
  return await eventually(`${file} of ${size} bytes`, async () => {
    const content = await readFile(file).catch(() => undefined)
    return content?.length === size && content
  })
}

function digestOf(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex')
}
