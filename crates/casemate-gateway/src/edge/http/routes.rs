//! Everything that can be reached over HTTP. What is not in this table does not exist, and a test asks for each line of it
//! without a credential.

use http::Method;

use crate::endpoint::Endpoint;
use crate::refusal::{Allow, Code, Refusal};

/// One route.
#[derive(Debug)]
pub struct Route {
    /// Its path; a segment in capitals stands for any name.
    pub path: &'static str,
    /// The methods that it takes.
    pub methods: &'static [Method],
    /// Who may ask.
    pub access: Access,
    pub(super) place: Place,
}

/// Who may ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Whoever can send a request. The answer names nothing and nobody.
    Anyone,
    /// A subject, known by a credential that came with the request.
    Subject,
}

/// What answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Health,
    Readiness,
    Metadata,
    Landing,
    Mcp,
    Socket,
    Events,
}

/// Where the answer of an authorization server is shown to the person whose browser brings it.
pub const LANDING: &str = "/oauth/callback";

const GET: &[Method] = &[Method::GET];
const MCP: &[Method] = &[Method::POST, Method::GET, Method::DELETE];

const EVENTS: &[Method] = &[Method::GET, Method::POST];

/// All routes.
pub const ROUTES: &[Route] = &[
    Route { path: "/healthz", methods: GET, access: Access::Anyone, place: Place::Health },
    Route { path: "/readyz", methods: GET, access: Access::Anyone, place: Place::Readiness },
    Route {
        path: "/.well-known/oauth-protected-resource",
        methods: GET,
        access: Access::Anyone,
        place: Place::Metadata,
    },
    Route {
        path: "/.well-known/oauth-protected-resource/mcp",
        methods: GET,
        access: Access::Anyone,
        place: Place::Metadata,
    },
    Route {
        path: "/.well-known/oauth-protected-resource/servers/NAME/mcp",
        methods: GET,
        access: Access::Anyone,
        place: Place::Metadata,
    },
    Route {
        path: "/.well-known/oauth-protected-resource/profiles/NAME/mcp",
        methods: GET,
        access: Access::Anyone,
        place: Place::Metadata,
    },
    Route { path: LANDING, methods: GET, access: Access::Anyone, place: Place::Landing },
    Route { path: "/mcp", methods: MCP, access: Access::Subject, place: Place::Mcp },
    Route { path: "/servers/NAME/mcp", methods: MCP, access: Access::Subject, place: Place::Mcp },
    Route { path: "/profiles/NAME/mcp", methods: MCP, access: Access::Subject, place: Place::Mcp },
    Route { path: "/ws", methods: GET, access: Access::Subject, place: Place::Socket },
    Route { path: "/servers/NAME/ws", methods: GET, access: Access::Subject, place: Place::Socket },
    Route { path: "/profiles/NAME/ws", methods: GET, access: Access::Subject, place: Place::Socket },
    Route { path: "/sse", methods: EVENTS, access: Access::Subject, place: Place::Events },
    Route { path: "/servers/NAME/sse", methods: EVENTS, access: Access::Subject, place: Place::Events },
    Route { path: "/profiles/NAME/sse", methods: EVENTS, access: Access::Subject, place: Place::Events },
];

/// What a request is for.
#[derive(Debug)]
pub(super) enum Asked {
    Health,
    Readiness,
    Metadata,
    Landing,
    Mcp(Endpoint),
    Socket(Endpoint),
    Events(Endpoint),
}

/// Finds what a path and a method ask for.
///
/// # Errors
/// [`Code::NoEndpoint`] and [`Code::BadHttpMethod`].
pub(super) fn find(path: &str, method: &Method) -> Result<Asked, Refusal> {
    let nothing = || Refusal::new(Code::NoEndpoint, "There is nothing at this path: MCP is served at /mcp.");
    let route = ROUTES.iter().find(|route| fits(route.path, path)).ok_or_else(nothing)?;
    let asked = match route.place {
        Place::Health => Asked::Health,
        Place::Readiness => Asked::Readiness,
        Place::Metadata => Asked::Metadata,
        Place::Landing => Asked::Landing,
        Place::Mcp => Asked::Mcp(endpoint(path).ok_or_else(nothing)?),
        Place::Socket => Asked::Socket(endpoint(path).ok_or_else(nothing)?),
        Place::Events => Asked::Events(endpoint(path).ok_or_else(nothing)?),
    };
    // HEAD is what monitors send where GET is meant.
    let meant = if *method == Method::HEAD && route.access == Access::Anyone { &Method::GET } else { method };
    if !route.methods.contains(meant) {
        let (message, allow) = match route.place {
            Place::Mcp => ("MCP uses POST here, and GET and DELETE for legacy sessions.", Allow::Session),
            Place::Socket => ("A WebSocket is opened with GET.", Allow::Socket),
            Place::Events => ("GET opens a stream here, and POST sends messages to it.", Allow::Events),
            Place::Health | Place::Readiness | Place::Metadata | Place::Landing => {
                ("There is only something to GET here.", Allow::Get)
            }
        };
        return Err(Refusal::new(Code::BadHttpMethod, message).allowing(allow));
    }
    Ok(asked)
}

/// The endpoint that a path leads to, whatever it is spoken to over.
pub(super) fn endpoint(path: &str) -> Option<Endpoint> {
    let (place, spoken) = path.rsplit_once('/')?;
    match spoken {
        "mcp" => Endpoint::of_path(path),
        "ws" | "sse" => Endpoint::of_path(&format!("{place}/mcp")),
        _ => None,
    }
}

fn fits(pattern: &str, path: &str) -> bool {
    // Only what stands for a name is written in capitals.
    let Some((before, behind)) =
        pattern.bytes().position(|byte| byte == b'N').and_then(|at| pattern.split_at_checked(at))
    else {
        return pattern == path;
    };
    let name =
        path.strip_prefix(before).and_then(|rest| rest.strip_suffix(behind.trim_start_matches("NAME")));
    name.is_some_and(|name| !name.is_empty() && !name.contains('/'))
}
