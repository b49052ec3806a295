//! The protocol's methods, of all revisions and of the extensions that we know.

use std::fmt;

macro_rules! methods {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// A request or notification method. What we do not know travels as [`Method::Other`].
        #[derive(Debug, Clone, PartialEq, Eq, Hash)]
        pub enum Method {
            $($(#[$doc])* $name,)*
            /// A method that we do not know: extensions pass through under the server's own endpoint.
            Other(Box<str>),
        }

        impl Method {
            /// The method that a text names.
            #[must_use]
            pub fn parse(text: &str) -> Self {
                match text {
                    $($text => Self::$name,)*
                    other => Self::Other(other.into()),
                }
            }

            /// The method as it is written on the wire.
            #[must_use]
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$name => $text,)*
                    Self::Other(text) => text,
                }
            }
        }
    };
}

methods! {
    /// Opens a legacy session.
    Initialize = "initialize",
    /// Asks a modern server what it is.
    Discover = "server/discover",
    /// Legacy: are you there.
    Ping = "ping",
    /// Lists tools.
    ToolsList = "tools/list",
    /// Calls a tool.
    ToolsCall = "tools/call",
    /// Lists resources.
    ResourcesList = "resources/list",
    /// Lists resource templates.
    TemplatesList = "resources/templates/list",
    /// Reads a resource.
    ResourcesRead = "resources/read",
    /// Legacy: tell me when this resource changes.
    ResourcesSubscribe = "resources/subscribe",
    /// Legacy: no longer.
    ResourcesUnsubscribe = "resources/unsubscribe",
    /// Lists prompts.
    PromptsList = "prompts/list",
    /// Gets a prompt.
    PromptsGet = "prompts/get",
    /// Completes an argument.
    Complete = "completion/complete",
    /// Legacy: from which level on log messages are wanted.
    LoggingSetLevel = "logging/setLevel",
    /// Modern: a stream of changes.
    Listen = "subscriptions/listen",
    /// Server asks: fill in a form or open a page.
    ElicitationCreate = "elicitation/create",
    /// Server asks: let the model write something.
    SamplingCreate = "sampling/createMessage",
    /// Server asks: which folders may I work in.
    RootsList = "roots/list",
    /// Tasks: state of one.
    TasksGet = "tasks/get",
    /// Tasks (modern extension): answer a question of one.
    TasksUpdate = "tasks/update",
    /// Tasks: cancel one.
    TasksCancel = "tasks/cancel",
    /// Tasks (2025-11-25): its result.
    TasksResult = "tasks/result",
    /// Tasks (2025-11-25): all of them.
    TasksList = "tasks/list",
    /// The legacy client is ready.
    Initialized = "notifications/initialized",
    /// A request is given up.
    Cancelled = "notifications/cancelled",
    /// A request gets on.
    Progress = "notifications/progress",
    /// A log message.
    Message = "notifications/message",
    /// The tools changed.
    ToolsChanged = "notifications/tools/list_changed",
    /// The resources changed.
    ResourcesChanged = "notifications/resources/list_changed",
    /// One resource changed.
    ResourceUpdated = "notifications/resources/updated",
    /// The prompts changed.
    PromptsChanged = "notifications/prompts/list_changed",
    /// Legacy: the client's roots changed.
    RootsChanged = "notifications/roots/list_changed",
    /// Modern: what a listen stream will carry.
    ListenAcknowledged = "notifications/subscriptions/acknowledged",
    /// Legacy: a URL elicitation was finished in the browser.
    ElicitationComplete = "notifications/elicitation/complete",
    /// A task changed its state.
    TaskStatus = "notifications/tasks/status",
}

impl Method {
    /// A question that a server asks of a client in mid-call.
    #[must_use]
    pub fn is_question(&self) -> bool {
        matches!(self, Self::ElicitationCreate | Self::SamplingCreate | Self::RootsList)
    }

    /// The member of `params` that names what the request is about; the modern `Mcp-Name` header repeats it.
    #[must_use]
    pub fn name_member(&self) -> Option<&'static str> {
        match self {
            Self::ToolsCall | Self::PromptsGet => Some("name"),
            Self::ResourcesRead => Some("uri"),
            Self::TasksGet | Self::TasksUpdate | Self::TasksCancel => Some("taskId"),
            _ => None,
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
