/**
 * The part of `oidc-provider` the sandbox uses; the package ships no types.
 */
declare module 'oidc-provider' {
  import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'

  export interface Grant {
    addOIDCScope(scope: string): void
    addOIDCClaims(claims: string[]): void
    save(): Promise<string>
  }

  export interface Interaction {
    uid: string
    prompt: {
      name: string
      details: { missingOIDCScope?: string[]; missingOIDCClaims?: string[] }
    }
    params: { client_id: string; scope?: string; login_hint?: string }
    session?: { accountId: string }
    grantId?: string
  }

  export interface InteractionResult {
    login?: { accountId: string }
    consent?: { grantId: string }
    error?: string
    error_description?: string
  }

  export class Provider {
    constructor(issuer: string, configuration: Record<string, unknown>)
    callback(): RequestListener
    interactionDetails(request: IncomingMessage, response: ServerResponse): Promise<Interaction>
    interactionFinished(
      request: IncomingMessage,
      response: ServerResponse,
      result: InteractionResult,
      options?: { mergeWithLastSubmission?: boolean },
    ): Promise<void>
    Grant: (new (properties: { accountId: string; clientId: string }) => Grant) & {
      find(id: string): Promise<Grant | undefined>
    }
    on(event: 'server_error', listener: (context: unknown, error: Error) => void): this
  }
}
