//! An OAuth 2.0 authorization server: a token endpoint and a device authorization endpoint.
//!
//! It follows RFC 6749 and RFC 8628 strictly. Where they leave a choice, it takes the stricter one:
//! a confidential client authenticates with a header, and a public client sends only its ID.

use std::{
    collections::BTreeMap,
    iter,
    time::{Duration, Instant},
};

use base64::prelude::{BASE64_STANDARD, Engine};
use hyper::header::{AUTHORIZATION, CACHE_CONTROL, HOST, WWW_AUTHENTICATE};
use serde_json::{Value, json};

use super::{FaultPlan, Request, answer::Answer};

const DEVICE_GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// The scope that yields a refresh token.
const OFFLINE: &str = "offline_access";

/// Minimum time between token requests when rate limiting is enabled.
const SPACING: Duration = Duration::from_secs(1);

/// Approximate length of a signed access token.
const ACCESS_TOKEN_CHARS: usize = 1_000;

const REFRESH_TOKEN_CHARS: usize = 43;

/// What a provider documents of its authorization server.
#[derive(Debug)]
pub struct AuthorizationApi {
    /// The path in front of both endpoints.
    pub base: &'static str,
    /// The token endpoint, below `base`.
    pub token_path: &'static str,
    /// The device authorization endpoint, below `base`.
    pub device_path: &'static str,
    /// The scopes a device may request.
    pub scopes: &'static [&'static str],
    /// The scope a device must request.
    pub required_scope: &'static str,
    /// Returns the answer to too many requests.
    pub throttled: fn() -> Answer,
}

impl AuthorizationApi {
    /// Returns the path of a request below `base`; `None` if it is not for this server.
    fn path<'a>(&self, request: &'a Request) -> Option<&'a str> {
        let path = request.path().strip_prefix(self.base)?;
        path.starts_with('/').then_some(path)
    }

    /// Returns whether a request is for this server.
    pub(crate) fn serves(&self, request: &Request) -> bool {
        self.path(request).is_some()
    }

    /// Returns the answer for a status other than 200.
    pub(crate) fn error(&self, status: u16) -> Answer {
        match status {
            401 => unauthenticated(),
            429 => (self.throttled)(),
            503 => refusal(status, "temporarily_unavailable", "The server is overloaded."),
            500.. => refusal(status, "server_error", "Internal server error."),
            _ => refusal(status, "invalid_request", "Request refused."),
        }
    }
}

/// An authorization server with a single client and the tokens issued to it.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "switches that tests set one by one")]
pub struct Authorization {
    /// The client's ID.
    pub client_id: String,
    /// The client's secret; `None` for a public client.
    pub client_secret: Option<String>,
    /// Whether a refresh token can be used only once.
    pub rotating: bool,
    /// Whether a used refresh token remains valid until one of the tokens that replaced it is used.
    pub grace: bool,
    /// Whether answers repeat a refresh token that does not rotate.
    pub repeats_refresh_token: bool,
    /// How long access tokens are valid.
    pub lifetime: Duration,
    /// The lifetime stated in answers.
    pub expires_in: ExpiresIn,
    /// Whether to refuse a token request less than a second after the last accepted one.
    pub rate_limited: bool,
    /// The polling interval sent to devices, in seconds.
    pub interval: Option<u64>,
    /// How long a device code is valid.
    pub device_lifetime: Duration,
    /// The number of pending polls before the user approves; `None` leaves the decision to
    /// [`approve`] and [`deny`].
    ///
    /// [`approve`]: Self::approve
    /// [`deny`]: Self::deny
    pub pending_polls: Option<u64>,
    /// The faults of this server.
    pub fault: Option<FaultPlan>,
    /// The number of token answers so far, including those that never reached the client.
    pub issued: u64,
    /// The number of those answers issued for a refresh token.
    pub refreshes: u64,
    consents: Vec<Consent>,
    access_tokens: Vec<AccessToken>,
    devices: Vec<Device>,
    /// How often each refresh token was presented, whether or not it was accepted.
    uses: BTreeMap<String, u64>,
    /// When the last token request was accepted.
    let_through: Option<Instant>,
}

/// The access token lifetime stated in an answer.
#[derive(Clone, Debug)]
pub enum ExpiresIn {
    /// A number of seconds.
    Number,
    /// A number of seconds as a string.
    Text,
    /// No lifetime.
    Absent,
    /// An arbitrary value.
    Other(Value),
}

/// A user's consent and the chain of refresh tokens issued from it.
#[derive(Clone, Debug)]
struct Consent {
    /// The granted scope; `None` for the required one with a refresh token.
    scope: Option<String>,
    newest: Option<String>,
    /// The previous token, while it is still valid.
    previous: Option<String>,
}

impl Consent {
    fn accepts(&self, token: &str) -> bool {
        [&self.newest, &self.previous]
            .into_iter()
            .any(|accepted| accepted.as_deref() == Some(token))
    }

    fn revoke(&mut self) {
        self.newest = None;
        self.previous = None;
    }
}

#[derive(Clone, Debug)]
struct AccessToken {
    token: String,
    /// The refresh token it belongs to.
    refreshed: Option<String>,
    expires_at: Instant,
}

/// A device waiting for its user.
#[derive(Clone, Debug)]
struct Device {
    code: String,
    user_code: String,
    scope: String,
    expires_at: Instant,
    decision: Option<Decision>,
    polls: u64,
}

#[derive(Clone, Copy, Debug)]
enum Decision {
    Approved,
    Denied,
}

impl Default for Authorization {
    /// Returns a fault-free server with a public client and no tokens.
    fn default() -> Self {
        Self {
            client_id: "demo-client".to_owned(),
            client_secret: None,
            rotating: true,
            grace: false,
            repeats_refresh_token: true,
            lifetime: Duration::from_hours(24),
            expires_in: ExpiresIn::Number,
            rate_limited: false,
            interval: Some(5),
            device_lifetime: Duration::from_mins(10),
            pending_polls: None,
            fault: None,
            issued: 0,
            refreshes: 0,
            consents: Vec::new(),
            access_tokens: Vec::new(),
            devices: Vec::new(),
            uses: BTreeMap::new(),
            let_through: None,
        }
    }
}

impl Authorization {
    /// Adds another user's consent with this first refresh token.
    pub fn grant(&mut self, refresh_token: impl Into<String>) {
        self.consents.push(Consent {
            scope: None,
            newest: Some(refresh_token.into()),
            previous: None,
        });
    }

    /// Revokes every consent and all access and refresh tokens issued so far.
    pub fn revoke_all(&mut self) {
        self.consents.iter_mut().for_each(Consent::revoke);
        self.revoke_access_tokens();
    }

    /// Revokes all access tokens; refresh tokens remain valid.
    pub fn revoke_access_tokens(&mut self) {
        self.access_tokens.clear();
    }

    /// Returns whether a refresh token would be accepted.
    pub fn is_usable(&self, refresh_token: &str) -> bool {
        self.consents.iter().any(|consent| consent.accepts(refresh_token))
    }

    /// Returns the latest refresh token of each consent, oldest consent first.
    pub fn refresh_tokens(&self) -> Vec<String> {
        let newest = self.consents.iter();
        newest.filter_map(|consent| consent.newest.clone()).collect()
    }

    /// Returns the refresh tokens presented more than once, whether or not they were accepted.
    pub fn reused_refresh_tokens(&self) -> Vec<String> {
        let reused = self.uses.iter().filter(|(_, uses)| **uses > 1);
        reused.map(|(token, _)| token.clone()).collect()
    }

    /// Returns the user codes awaiting a decision.
    pub fn user_codes(&self) -> Vec<String> {
        let waiting = self.devices.iter().filter(|device| device.decision.is_none());
        waiting.map(|device| device.user_code.clone()).collect()
    }

    /// Approves a user code. Returns whether the code was pending.
    pub fn approve(&mut self, user_code: &str) -> bool {
        self.decide(user_code, Decision::Approved)
    }

    /// Denies a user code. Returns whether the code was pending.
    pub fn deny(&mut self, user_code: &str) -> bool {
        self.decide(user_code, Decision::Denied)
    }

    fn decide(&mut self, user_code: &str, decision: Decision) -> bool {
        let mut devices = self.devices.iter_mut();
        let waiting = devices
            .find(|device| device.user_code == user_code && device.decision.is_none())
            .map(|device| device.decision = Some(decision));
        waiting.is_some()
    }

    /// Returns whether a request is for a token endpoint.
    pub fn is_token_request(request: &Request) -> bool {
        request.field("grant_type").is_some()
    }

    /// Returns whether an API request carries a valid access token issued here. Using the token
    /// invalidates the previous refresh token.
    pub fn admits(&mut self, request: &Request) -> bool {
        let Some(bearer) = request.bearer() else {
            return false;
        };
        let mut tokens = self.access_tokens.iter();
        let Some(token) = tokens.find(|access| access.token == bearer) else {
            return false;
        };
        if token.expires_at <= request.at {
            return false;
        }
        if token.refreshed.is_some() {
            for consent in &mut self.consents {
                if consent.previous == token.refreshed {
                    consent.previous = None;
                }
            }
        }
        true
    }

    /// Answers a request.
    pub(crate) fn answer(&mut self, api: &AuthorizationApi, request: &Request) -> Answer {
        let result = match api.path(request) {
            Some(path) if path == api.token_path => self.token(api, request),
            Some(path) if path == api.device_path => self.authorize_device(api, request),
            _ => Err(refusal(404, "invalid_request", "No such endpoint.")),
        };
        match result {
            Ok(answer) | Err(answer) => answer,
        }
    }

    fn token(&mut self, api: &AuthorizationApi, request: &Request) -> Result<Answer, Answer> {
        if self.rate_limited {
            let since = self.let_through.map(|last| request.at.saturating_duration_since(last));
            if since.is_some_and(|since| since < SPACING) {
                return Err((api.throttled)());
            }
        }
        self.let_through = Some(request.at);
        well_formed(request)?;
        self.authenticate(request)?;
        match required(request, "grant_type")? {
            "refresh_token" => self.refresh(api, request),
            DEVICE_GRANT => self.poll(request),
            _ => Err(refusal(400, "unsupported_grant_type", "The grant type is not supported.")),
        }
    }

    fn authenticate(&self, request: &Request) -> Result<(), Answer> {
        let header = request.headers.contains_key(AUTHORIZATION);
        let secret_in_body = request.field("client_secret").is_some();
        if header && secret_in_body {
            return Err(invalid_request("More than one client authentication."));
        }
        let id = request.field("client_id");
        let id_is_right = id == Some(self.client_id.as_str());
        let authentic = match &self.client_secret {
            Some(secret) => {
                let expected = (self.client_id.clone(), secret.clone());
                basic(request) == Some(expected) && (id.is_none() || id_is_right)
            }
            None => id_is_right && !header && !secret_in_body,
        };
        if authentic { Ok(()) } else { Err(unauthenticated()) }
    }

    fn refresh(&mut self, api: &AuthorizationApi, request: &Request) -> Result<Answer, Answer> {
        let token = required(request, "refresh_token")?;
        *self.uses.entry(token.to_owned()).or_default() += 1;
        let mut consents = self.consents.iter_mut();
        let consent = consents
            .find(|consent| consent.accepts(token))
            .ok_or_else(|| invalid_grant("The refresh token is invalid or expired."))?;
        let granted = consent.scope.clone();
        let scope = granted.unwrap_or_else(|| format!("{} {OFFLINE}", api.required_scope));
        let next = if self.rotating {
            let next = random(REFRESH_TOKEN_CHARS);
            consent.newest = Some(next.clone());
            consent.previous = self.grace.then(|| token.to_owned());
            Some(next)
        } else {
            self.repeats_refresh_token.then(|| token.to_owned())
        };
        self.refreshes += 1;
        Ok(self.issue(request.at, Some(token), next, &scope))
    }

    fn authorize_device(
        &mut self,
        api: &AuthorizationApi,
        request: &Request,
    ) -> Result<Answer, Answer> {
        well_formed(request)?;
        self.authenticate(request)?;
        // even if the client authenticates with a header
        required(request, "client_id")?;
        let scope = required(request, "scope")?;
        let mut scopes = scope.split(' ');
        if !scope.split(' ').all(|one| api.scopes.contains(&one))
            || !scopes.any(|one| one == api.required_scope)
        {
            return Err(refusal(
                400,
                "invalid_scope",
                "One or more scopes are not configured for the authorization server resource.",
            ));
        }
        let device = Device {
            code: random(REFRESH_TOKEN_CHARS),
            user_code: user_code(),
            scope: scope.to_owned(),
            expires_at: request.at + self.device_lifetime,
            decision: None,
            polls: 0,
        };
        let host = request.headers.get(HOST).and_then(|host| host.to_str().ok());
        let uri = format!("http://{}/activate", host.unwrap_or("localhost"));
        let mut body = json!({
            "device_code": device.code,
            "user_code": device.user_code,
            "verification_uri": uri,
            "verification_uri_complete": format!("{uri}?user_code={}", device.user_code),
            "expires_in": self.device_lifetime.as_secs(),
        });
        if let (Some(interval), Some(body)) = (self.interval, body.as_object_mut()) {
            body.insert("interval".to_owned(), interval.into());
        }
        self.devices.push(device);
        Ok(unstored(body))
    }

    /// Handles a device poll for tokens.
    fn poll(&mut self, request: &Request) -> Result<Answer, Answer> {
        let code = required(request, "device_code")?;
        let found = self.devices.iter().position(|one| one.code == code);
        let unknown = || invalid_grant("The device code is invalid or has been used.");
        let index = found.ok_or_else(unknown)?;
        let device = self.devices.get_mut(index).ok_or_else(unknown)?;
        if device.expires_at <= request.at {
            return Err(refusal(400, "expired_token", "The device code has expired."));
        }
        let approves = self.pending_polls.is_some_and(|polls| device.polls >= polls);
        device.polls += 1;
        match device.decision {
            Some(Decision::Denied) => {
                Err(refusal(400, "access_denied", "The user denied the request."))
            }
            None if !approves => {
                Err(refusal(400, "authorization_pending", "The user has not decided yet."))
            }
            Some(Decision::Approved) | None => {
                let scope = self.devices.remove(index).scope;
                Ok(self.consent(request.at, scope))
            }
        }
    }

    /// Issues a user's first tokens.
    fn consent(&mut self, now: Instant, scope: String) -> Answer {
        let offline = scope.split(' ').any(|one| one == OFFLINE);
        let refresh_token = offline.then(|| random(REFRESH_TOKEN_CHARS));
        let answer = self.issue(now, None, refresh_token.clone(), &scope);
        self.consents.push(Consent { scope: Some(scope), newest: refresh_token, previous: None });
        answer
    }

    fn issue(
        &mut self,
        now: Instant,
        refreshed: Option<&str>,
        refresh_token: Option<String>,
        scope: &str,
    ) -> Answer {
        let token = random(ACCESS_TOKEN_CHARS);
        let seconds = self.lifetime.as_secs();
        let expires_in = match &self.expires_in {
            ExpiresIn::Number => Some(seconds.into()),
            ExpiresIn::Text => Some(seconds.to_string().into()),
            ExpiresIn::Absent => None,
            ExpiresIn::Other(value) => Some(value.clone()),
        };
        let mut body = json!({ "token_type": "Bearer", "access_token": token, "scope": scope });
        let optional =
            [("expires_in", expires_in), ("refresh_token", refresh_token.map(Value::from))];
        if let Some(body) = body.as_object_mut() {
            let present =
                optional.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?)));
            body.extend(present);
        }
        // drop expired tokens, or a long-running server would accumulate them
        self.access_tokens.retain(|access| access.expires_at > now);
        self.access_tokens.push(AccessToken {
            token,
            refreshed: refreshed.map(str::to_owned),
            expires_at: now + self.lifetime,
        });
        self.issued += 1;
        unstored(body)
    }
}

fn unauthenticated() -> Answer {
    let description = "The client could not be authenticated.";
    let answer = refusal(401, "invalid_client", description);
    answer.with(WWW_AUTHENTICATE, "Basic realm=\"oauth2\"".to_owned())
}

fn refusal(status: u16, error: &str, description: &str) -> Answer {
    Answer::json(status, json!({ "error": error, "error_description": description }))
}

fn invalid_request(description: &str) -> Answer {
    refusal(400, "invalid_request", description)
}

fn invalid_grant(description: &str) -> Answer {
    refusal(400, "invalid_grant", description)
}

/// Returns an answer that must not be cached because it contains secrets.
fn unstored(body: Value) -> Answer {
    Answer::json(200, body).with(CACHE_CONTROL, "no-store".to_owned())
}

/// Refuses a malformed or ambiguous form.
fn well_formed(request: &Request) -> Result<(), Answer> {
    if request.method != "POST" {
        return Err(invalid_request("The method must be POST."));
    }
    if !request.is_form() {
        return Err(invalid_request("The body must be application/x-www-form-urlencoded."));
    }
    // URLs are often logged, and the query may contain secrets
    if request.path() != request.path_and_query {
        return Err(invalid_request("Parameters belong in the body."));
    }
    let mut names: Vec<_> = request.form.iter().map(|(name, _)| name).collect();
    let all = names.len();
    names.sort_unstable();
    names.dedup();
    if names.len() < all {
        return Err(invalid_request("A parameter is repeated."));
    }
    Ok(())
}

fn required<'a>(request: &'a Request, name: &str) -> Result<&'a str, Answer> {
    request.field(name).ok_or_else(|| invalid_request(&format!("The parameter {name} is missing.")))
}

/// Returns the client's ID and secret from the `Authorization` header. Both are form-encoded, so
/// either may contain a colon.
fn basic(request: &Request) -> Option<(String, String)> {
    let header = request.headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, encoded) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("Basic") {
        return None;
    }
    let pair = String::from_utf8(BASE64_STANDARD.decode(encoded).ok()?).ok()?;
    let (id, secret) = pair.split_once(':')?;
    Some((decoded(id)?, decoded(secret)?))
}

/// Decodes a form value; `None` if it was not properly encoded.
fn decoded(text: &str) -> Option<String> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"*-._~+%".contains(&byte);
    let mut escapes = text.split('%').skip(1);
    let is_encoded = text.bytes().all(is_plain)
        && escapes.all(|escape| {
            let digits = escape.get(..2);
            digits.is_some_and(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
        });
    let mut pairs = form_urlencoded::parse(text.as_bytes());
    let (value, _) = pairs.next()?;
    is_encoded.then(|| value.into_owned())
}

fn random(chars: usize) -> String {
    iter::repeat_with(fastrand::alphanumeric).take(chars).collect()
}

/// Returns a code of consonants only: it spells no words and is not confused with digits.
fn user_code() -> String {
    let letters = b"BCDFGHJKLMNPQRSTVWXZ";
    let mut letter = || char::from(fastrand::choice(letters).copied().unwrap_or(b'B'));
    let mut four = || -> String { iter::repeat_with(&mut letter).take(4).collect() };
    format!("{}-{}", four(), four())
}

#[cfg(test)]
mod tests {
    use hyper::{HeaderMap, header::CONTENT_TYPE};

    use super::{
        super::{
            Fault, Simulator, State,
            answer::Content,
            tests::{AUTHORIZATION as SERVER, PLAIN},
        },
        *,
    };

    const FORM: &str = "application/x-www-form-urlencoded";
    const API: &str = "/reports?page=1";
    const TOKEN: &str = "/oauth/token";
    const DEVICE: &str = "/oauth/device";

    /// Calls a server directly, with a clock of its own.
    struct Asker {
        server: Authorization,
        now: Instant,
    }

    impl Asker {
        fn new() -> Self {
            let mut server = Authorization::default();
            server.grant("first");
            Self { server, now: Instant::now() }
        }

        fn pass(&mut self, seconds: f64) {
            self.now += Duration::from_secs_f64(seconds);
        }

        fn request(&self, path: &str, fields: &[(&str, &str)]) -> Request {
            let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
            Request {
                method: "POST".to_owned(),
                path_and_query: path.to_owned(),
                headers: HeaderMap::from_iter([(CONTENT_TYPE, FORM.parse().unwrap())]),
                form: fields.iter().map(owned).collect(),
                json: Value::Null,
                at: self.now,
            }
        }

        fn send(&mut self, request: &Request) -> (u16, Value) {
            let answer = self.server.answer(&SERVER, request);
            let Content::Json(body) = answer.content else {
                panic!("no JSON");
            };
            (answer.status, body)
        }

        fn ask(&mut self, path: &str, fields: &[(&str, &str)]) -> (u16, Value) {
            let id = [("client_id", "demo-client")];
            let request = self.request(path, &[&id[..], fields].concat());
            self.send(&request)
        }

        fn refresh(&mut self, token: &str) -> (u16, Value) {
            let fields = [("grant_type", "refresh_token"), ("refresh_token", token)];
            self.ask(TOKEN, &fields)
        }

        /// Refreshes and returns the new access and refresh tokens.
        fn refreshed(&mut self, token: &str) -> (String, String) {
            let (status, body) = self.refresh(token);
            assert_eq!(status, 200, "{body}");
            (text(&body, "access_token"), text(&body, "refresh_token"))
        }

        fn admits(&mut self, token: &str) -> bool {
            let mut request = self.request(API, &[]);
            let value = format!("Bearer {token}").parse().unwrap();
            request.headers.insert(AUTHORIZATION, value);
            self.server.admits(&request)
        }

        fn device(&mut self, scope: &str) -> Value {
            let (status, body) = self.ask(DEVICE, &[("scope", scope)]);
            assert_eq!(status, 200, "{body}");
            body
        }

        fn poll(&mut self, device: &Value) -> (u16, Value) {
            let code = text(device, "device_code");
            let fields = [("grant_type", DEVICE_GRANT), ("device_code", &code)];
            self.ask(TOKEN, &fields)
        }

        /// Polls and returns the error.
        fn poll_error(&mut self, device: &Value) -> String {
            let (status, body) = self.poll(device);
            assert_eq!(status, 400, "{body}");
            text(&body, "error")
        }
    }

    fn text(body: &Value, name: &str) -> String {
        body[name].as_str().unwrap().to_owned()
    }

    fn is_dead((status, body): &(u16, Value)) -> bool {
        let expected = json!({
            "error": "invalid_grant",
            "error_description": "The refresh token is invalid or expired.",
        });
        (*status, body) == (400, &expected)
    }

    #[tokio::test]
    async fn each_server_has_its_own_faults() {
        let mut state = State::new("static", Vec::new());
        let status = |code| Fault::Status { code, retry_after: None };
        state.fault = Some(FaultPlan::once(status(500)));
        state.authorization.fault = Some(FaultPlan::once(status(503)));
        state.authorization.grant("first");
        let simulator = Simulator::start(&PLAIN, state).await.unwrap();
        let client = reqwest::Client::new();
        let mut answers = Vec::new();
        for path in [TOKEN, API, TOKEN, API] {
            let request = client.post(simulator.base_url() + path);
            let request = request.header("content-type", FORM);
            let body = "grant_type=refresh_token&refresh_token=first&client_id=demo-client";
            let response = request.body(body).send().await.unwrap();
            let status = response.status().as_u16();
            let body: Value = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap();
            answers.push((status, body["error"].as_str().map(str::to_owned)));
        }
        let unavailable = Some("temporarily_unavailable".to_owned());
        let expected = [(503, unavailable), (500, None), (200, None), (403, None)];
        assert_eq!(answers, expected);
        // the fault replaced the answer, so the token was not used
        assert!(simulator.read(|state| state.authorization.reused_refresh_tokens().is_empty()));
    }

    #[test]
    fn a_rotating_token_is_valid_once() {
        let mut asker = Asker::new();
        let (access_1, refresh_1) = asker.refreshed("first");
        assert!(asker.server.is_usable(&refresh_1) && !asker.server.is_usable("first"));
        let (access_2, refresh_2) = asker.refreshed(&refresh_1);
        for dead in ["first", &refresh_1, "never issued"] {
            assert!(is_dead(&asker.refresh(dead)));
        }
        assert_eq!(asker.server.refresh_tokens(), [refresh_2], "others live on");
        assert_ne!(access_1, access_2);
        assert!(asker.admits(&access_1) && asker.admits(&access_2));
        assert!(!asker.admits("first"));
        assert_eq!((asker.server.issued, asker.server.refreshes), (2, 2));
        let mut reused = vec!["first".to_owned(), refresh_1];
        reused.sort();
        assert_eq!(asker.server.reused_refresh_tokens(), reused);
    }

    #[test]
    fn a_used_token_is_valid_until_its_successor_is_used() {
        let mut asker = Asker::new();
        asker.server.grace = true;
        let (_, lost) = asker.refreshed("first");
        let (access, second) = asker.refreshed("first");
        assert!(!asker.server.is_usable(&lost), "only the last one counts");
        assert!(asker.server.is_usable("first"));
        assert!(asker.admits(&access));
        assert!(is_dead(&asker.refresh("first")), "its heir was used");
        let (_, third) = asker.refreshed(&second);
        assert!(asker.server.is_usable(&second));
        let (_, fourth) = asker.refreshed(&third);
        assert!(!asker.server.is_usable(&second), "its heir was used");
        assert!(asker.server.is_usable(&third) && asker.server.is_usable(&fourth));
    }

    #[test]
    fn a_long_lived_token_is_repeated_or_omitted() {
        let mut asker = Asker::new();
        asker.server.rotating = false;
        assert_eq!(asker.refreshed("first").1, "first");
        asker.server.repeats_refresh_token = false;
        let (status, body) = asker.refresh("first");
        assert_eq!(status, 200);
        assert!(body.get("refresh_token").is_none());
        assert!(asker.server.is_usable("first"));
    }

    #[test]
    fn consents_are_independent_until_all_are_revoked() {
        let mut asker = Asker::new();
        asker.server.grant("other");
        let (access, next) = asker.refreshed("first");
        assert_eq!(asker.server.refresh_tokens(), [next.as_str(), "other"]);
        let (_, other) = asker.refreshed("other");
        asker.server.revoke_all();
        assert!(!asker.admits(&access));
        for dead in [next, other] {
            assert!(!asker.server.is_usable(&dead));
            assert!(is_dead(&asker.refresh(&dead)));
        }
    }

    #[test]
    fn access_tokens_expire_and_their_lifetime_has_several_forms() {
        let mut asker = Asker::new();
        asker.server.rotating = false;
        asker.server.lifetime = Duration::from_mins(1);
        let (access, _) = asker.refreshed("first");
        asker.pass(59.9);
        assert!(asker.admits(&access));
        asker.pass(0.1);
        assert!(!asker.admits(&access));
        for (expires_in, expected) in [
            (ExpiresIn::Number, Some(json!(60))),
            (ExpiresIn::Text, Some(json!("60"))),
            (ExpiresIn::Absent, None),
            (ExpiresIn::Other(json!([])), Some(json!([]))),
        ] {
            asker.server.expires_in = expires_in;
            let (_, body) = asker.refresh("first");
            assert_eq!(body.get("expires_in"), expected.as_ref());
        }
    }

    #[test]
    fn the_rate_limit_counts_from_the_last_accepted_request() {
        let mut asker = Asker::new();
        asker.server.rotating = false;
        let mut statuses = |limited| {
            asker.server.rate_limited = limited;
            [0.0, 0.5, 0.4, 0.1, 0.9].map(|seconds| {
                asker.pass(seconds);
                let (status, body) = asker.refresh("first");
                if status != 200 {
                    assert_eq!(body, json!({ "error": 429 }));
                }
                status
            })
        };
        assert_eq!(statuses(false), [200; 5]);
        // the first request arrives at the same time as the previous one
        assert_eq!(statuses(true), [429, 429, 429, 200, 429]);
    }

    #[test]
    fn malformed_and_ambiguous_forms_are_refused() {
        let mut asker = Asker::new();
        let id = ("client_id", "demo-client");
        let grant = ("grant_type", "refresh_token");
        let token = ("refresh_token", "first");
        let good = asker.request(TOKEN, &[id, grant, token]);
        let changed = |change: fn(&mut Request)| {
            let mut request = good.clone();
            change(&mut request);
            request
        };
        let cases = [
            changed(|request| request.method = "GET".to_owned()),
            changed(|request| request.headers.clear()),
            changed(|request| {
                let json = "application/json".parse().unwrap();
                request.headers.insert(CONTENT_TYPE, json);
            }),
            changed(|request| request.path_and_query.push_str("?client_id=demo-client")),
            asker.request(TOKEN, &[id, grant, token, token]),
            asker.request(TOKEN, &[id, token]),
            asker.request(TOKEN, &[id, grant]),
            asker.request(TOKEN, &[id, grant, ("refresh_token", "")]),
            asker.request(TOKEN, &[id, ("grant_type", DEVICE_GRANT)]),
            asker.request(DEVICE, &[id]),
        ];
        for request in &cases {
            let (status, body) = asker.send(request);
            assert_eq!(status, 400, "{request:?}");
            assert_eq!(body["error"], "invalid_request", "{request:?}");
            assert!(body["error_description"].is_string());
        }
        let other = asker.request(TOKEN, &[id, ("grant_type", "client_credentials")]);
        assert_eq!(asker.send(&other).1["error"], "unsupported_grant_type");
        let elsewhere = asker.request("/oauth/authorize", &[id]);
        assert_eq!(asker.send(&elsewhere).0, 404);
        assert_eq!(asker.send(&good).0, 200);
    }

    #[test]
    fn a_public_client_sends_only_its_id() {
        let mut asker = Asker::new();
        let grant = [("grant_type", "refresh_token"), ("refresh_token", "first")];
        for more in [
            &[][..],
            &[("client_id", "another")],
            &[("client_id", "demo-client"), ("client_secret", "guess")],
        ] {
            for path in [TOKEN, DEVICE] {
                let request = asker.request(path, &[&grant, more].concat());
                let (status, body) = asker.send(&request);
                assert_eq!((status, &body["error"]), (401, &json!("invalid_client")));
            }
        }
        let id = [("client_id", "demo-client")];
        let mut request = asker.request(TOKEN, &[&grant[..], &id].concat());
        let value = "Basic ZGVtby1jbGllbnQ6".parse().unwrap();
        request.headers.insert(AUTHORIZATION, value);
        assert_eq!(asker.send(&request).0, 401);
    }

    #[test]
    fn a_confidential_client_authenticates_with_a_header() {
        let mut asker = Asker::new();
        asker.server.client_id = "an id:é".to_owned();
        asker.server.client_secret = Some("50 %:+&=".to_owned());
        asker.server.rotating = false;
        let grant = [("grant_type", "refresh_token"), ("refresh_token", "first")];
        let mut send = |pair: &str, scheme: &str, more: &[(&str, &str)]| {
            let mut request = asker.request(TOKEN, &[&grant, more].concat());
            let value = format!("{scheme} {}", BASE64_STANDARD.encode(pair));
            request.headers.insert(AUTHORIZATION, value.parse().unwrap());
            let (status, body) = asker.send(&request);
            (status, body["error"].as_str().unwrap_or_default().to_owned())
        };
        let right = "an+id%3A%C3%A9:50+%25%3A%2B%26%3D";
        let id = ("client_id", "an id:é");
        assert_eq!(send(right, "Basic", &[]).0, 200);
        assert_eq!(send(right, "basic", &[id]).0, 200);
        let also = "an%20id%3a%c3%a9:50%20%25%3A%2B%26%3D";
        assert_eq!(send(also, "Basic", &[]).0, 200);

        let invalid = (401, "invalid_client".to_owned());
        for wrong in [
            "an id:é:50 %:+&=",
            "an+id%3A%C3%A9:50+%:%2B%26%3D",
            "an+id%3A%C3%A9:other",
            "other:50+%25%3A%2B%26%3D",
            "an+id%3A%C3%A9",
            "",
        ] {
            assert_eq!(send(wrong, "Basic", &[]), invalid, "{wrong}");
        }
        assert_eq!(send(right, "Bearer", &[]), invalid);
        assert_eq!(send(right, "Basic", &[("client_id", "other")]), invalid);
        let twice = send(right, "Basic", &[id, ("client_secret", "50 %:+&=")]);
        assert_eq!(twice, (400, "invalid_request".to_owned()));

        let in_body = [&grant[..], &[id, ("client_secret", "50 %:+&=")]].concat();
        let request = asker.request(TOKEN, &in_body);
        let answer = asker.server.answer(&SERVER, &request);
        assert_eq!(answer.status, 401);
        assert!(answer.headers.iter().any(|(name, _)| name == WWW_AUTHENTICATE));
    }

    #[test]
    fn a_device_gets_tokens_once_its_user_approves() {
        let mut asker = Asker::new();
        let device = asker.device("reports offline_access");
        assert_eq!(device["expires_in"], 600);
        assert_eq!(device["interval"], 5);
        let code = text(&device, "user_code");
        let uri = text(&device, "verification_uri");
        let complete = text(&device, "verification_uri_complete");
        assert_eq!(complete, format!("{uri}?user_code={code}"));
        assert_eq!(asker.poll_error(&device), "authorization_pending");
        assert_eq!(asker.server.user_codes(), [code.as_str()]);
        assert!(!asker.server.approve("BBBB-BBB8"));
        assert!(asker.server.approve(&code));
        assert!(!asker.server.approve(&code), "it is decided");
        let (status, body) = asker.poll(&device);
        assert_eq!(status, 200, "{body}");
        assert_eq!(body["scope"], "reports offline_access");
        assert!(asker.admits(&text(&body, "access_token")));
        let refresh_token = text(&body, "refresh_token");
        assert_eq!(asker.server.refresh_tokens(), ["first", &refresh_token]);
        assert_eq!(asker.poll_error(&device), "invalid_grant", "it is used");
        asker.refreshed(&refresh_token);
        assert_eq!((asker.server.issued, asker.server.refreshes), (2, 1));
    }

    #[test]
    fn device_requests_are_validated() {
        let mut asker = Asker::new();
        for scope in ["offline_access", "reports everything", "reports+x"] {
            let (status, body) = asker.ask(DEVICE, &[("scope", scope)]);
            assert_eq!((status, &body["error"]), (400, &json!("invalid_scope")));
        }
    }
}
