/** One plain HTTP request of somebody who is known, and its answer. */
import type { IncomingMessage, ServerResponse } from 'node:http'

import type { User } from '../identity/user.ts'
import type { RequestInfo } from './request-info.ts'

export interface Exchange {
  info: RequestInfo
  request: IncomingMessage
  response: ServerResponse
  user: User
}
