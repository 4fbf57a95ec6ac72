/** Who may send people to the sandbox's identity provider. */

/** A command on a person's machine. */
export const CLIENT_ID = 'podgate'
export const SCOPES = 'openid offline_access groups'

/** The gateway itself, for a sign-in in the browser. */
export const GATEWAY_CLIENT_ID = 'podgate-gateway'

export interface GatewayClient {
  /** Made anew for each sandbox. */
  secret: string
  /** Where the browser comes back to: exactly this address. */
  redirectUri: string
  /** Is told when a person's session ends (OpenID Connect Back-Channel Logout 1.0). */
  backchannelLogoutUri?: string
}

/** A program without a person, which asks for access tokens for whatever API (RFC 6749 4.4, RFC 8707). */
export interface MachineClient {
  clientId: string
  secret: string
}

export interface Clients {
  gateway: GatewayClient | undefined
  machine: MachineClient | undefined
}

export function clientsOf({ gateway, machine }: Clients): Record<string, unknown>[] {
  return [
    PUBLIC_CLIENT,
    ...(gateway === undefined ? [] : [confidentialClient(gateway)]),
    ...(machine === undefined ? [] : [machineClient(machine)]),
  ]
}

function machineClient({ clientId, secret }: MachineClient): Record<string, unknown> {
  return {
    client_id: clientId,
    client_secret: secret,
    token_endpoint_auth_method: 'client_secret_basic',
    grant_types: ['client_credentials'],
    response_types: [],
    redirect_uris: [],
  }
}

/** Of the library: tokens for an API that is named are JWTs (RFC 9068), all others stay opaque. */
export function machineFeatures(machine: MachineClient | undefined): Record<string, unknown> {
  if (machine === undefined) return {}
  return {
    clientCredentials: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => undefined,
      getResourceServerInfo: (_context: unknown, resource: string) => ({
        scope: '',
        audience: resource,
        accessTokenFormat: 'jwt',
        jwt: { sign: { alg: 'RS256' } },
      }),
    },
  }
}

/** RFC 8252: no secret, any port of the loopback address; RFC 8628 where there is no browser. */
const PUBLIC_CLIENT = {
  client_id: CLIENT_ID,
  application_type: 'native',
  token_endpoint_auth_method: 'none',
  grant_types: [
    'authorization_code',
    'refresh_token',
    'urn:ietf:params:oauth:grant-type:device_code',
  ],
  response_types: ['code'],
  redirect_uris: ['http://127.0.0.1/callback'],
}

function confidentialClient(gateway: GatewayClient): Record<string, unknown> {
  return {
    client_id: GATEWAY_CLIENT_ID,
    client_secret: gateway.secret,
    application_type: 'web',
    token_endpoint_auth_method: 'client_secret_basic',
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code'],
    redirect_uris: [gateway.redirectUri],
    ...(gateway.backchannelLogoutUri === undefined
      ? {}
      : {
          backchannel_logout_uri: gateway.backchannelLogoutUri,
          // With it the `sid` is in ID tokens and logout tokens, so that one session can end alone.
          backchannel_logout_session_required: true,
        }),
  }
}
