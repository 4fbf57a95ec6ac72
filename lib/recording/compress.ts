/**
 * zstd with contexts that are used again. A context takes 2 MB, five times the frame it packs;
 * made anew for each frame they keep the garbage collector busier than everything else together.
 */
import { constants, createZstdCompress, type ZstdCompress } from 'node:zlib'

import { asGatewayError } from '../errors/gateway-error.ts'

const LEVEL = 1
/** A body is 384 KiB at most as a rule; a window over all of it wins 2 % and takes more time. */
const WINDOW_LOG = 18
/** Output memory is taken in pieces of this size; most frames of text fit into one. */
const CHUNK_BYTES = 128 * 1024
/** As many as there are threads to run on. */
const MAX_IDLE = 4

/** One at a time; the frames it gives know nothing of each other. */
class Compressor {
  readonly #stream: ZstdCompress
  #parts: Buffer[] = []
  #fail: (error: Error) => void = () => {}

  constructor() {
    this.#stream = createZstdCompress({
      // Each write ends a frame.
      flush: constants.ZSTD_e_end,
      chunkSize: CHUNK_BYTES,
      params: {
        [constants.ZSTD_c_compressionLevel]: LEVEL,
        [constants.ZSTD_c_windowLog]: WINDOW_LOG,
      },
    })
    this.#stream.on('data', (part: Buffer) => this.#parts.push(part))
    this.#stream.on('error', (error) => this.#fail(error))
  }

  pack(body: Uint8Array): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      this.#fail = reject
      this.#stream.write(body, (error) => {
        if (error !== undefined && error !== null) {
          reject(error)
          return
        }
        const parts = this.#parts
        this.#parts = []
        const [only] = parts
        resolve(parts.length === 1 && only !== undefined ? only : Buffer.concat(parts))
      })
    })
  }

  close(): void {
    this.#stream.destroy()
  }
}

const idle: Compressor[] = []

/** @throws GatewayError when zstd itself fails. */
export async function compress(body: Uint8Array): Promise<Uint8Array> {
  const compressor = idle.pop() ?? new Compressor()
  try {
    const packed = await compressor.pack(body)
    if (idle.length < MAX_IDLE) idle.push(compressor)
    else compressor.close()
    return packed
  } catch (error) {
    compressor.close()
    throw asGatewayError(error, 'compressing the transcript')
  }
}
