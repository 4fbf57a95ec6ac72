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
    params: { client_id: string; scope?: string; login_hint?: string; acr_values?: string }
    session?: { accountId: string }
    grantId?: string
  }

  export interface InteractionResult {
    login?: { accountId: string; amr: string[]; acr?: string }
    consent?: { grantId: string }
    error?: string
    error_description?: string
  }

  export interface Client {
    clientId: string
    backchannelLogoutUri?: string
    backchannelLogout(sub: string, sid: string | undefined): Promise<void>
  }

  export interface Session {
    accountId?: string
    /** By client id. */
    authorizations?: Record<string, { sid?: string; grantId?: string; persistsLogout?: boolean }>
    destroy(): Promise<void>
  }

  /** The context of a request, as pages and policies see it. */
  export interface PageContext {
    type: string
    body: string
    oidc: {
      session: { state: { secret: string }; accountId?: string; acr?: string }
      /** Found by findAccount for the session. */
      account?: object
      params: { acr_values?: string }
      urlFor(route: string): string
    }
  }

  export interface Check {
    readonly reason: string
  }

  export interface Prompts {
    get(name: string): { checks: { add(check: Check): void } } | undefined
  }

  export interface InteractionPolicy {
    base(): Prompts
    Check: new (
      reason: string,
      description: string,
      error: string,
      check: (context: PageContext) => boolean,
    ) => Check
  }

  export const interactionPolicy: InteractionPolicy

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
    Client: { find(id: string): Promise<Client | undefined> }
    Session: { find(id: string): Promise<Session | undefined> }
    on(event: 'server_error', listener: (context: unknown, error: Error) => void): this
  }
}
