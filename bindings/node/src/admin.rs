//! Administration: every operation by its name, with arguments and answers in JSON. What they are called and take is in the
//! bindings' common table, from which `lib/operations.ts` is made.

use ferromq_bindings::admin::{self, Answer as Answered};
use ferromq_client as core;
use napi_derive::napi;
use serde::Serialize;

use crate::batch::Batch;
use crate::bridge::{Answer, Bridge};
use crate::client::Client;
use crate::errors::thrown;
use crate::packed::Writer;

/// Administration of the servers that a client knows.
#[napi]
pub struct Admin(core::Admin);

#[napi]
impl Admin {
    #[napi(constructor)]
    pub fn new(client: &Client) -> napi::Result<Self> {
        Ok(Self(client.open().map_err(thrown)?.admin()))
    }

    /// Does what an operation is for.
    #[napi]
    pub fn call(&self, bridge: &Bridge, id: u32, operation: String, arguments: String) {
        let admin = self.0.clone();
        bridge.run(id, async move { admin::call(&admin, &operation, &arguments).await });
    }

    /// The table of operations, as JSON: for whoever makes types of it.
    #[napi]
    pub fn operations() -> String {
        let argument = |argument: &admin::Argument| Argument {
            name: argument.name,
            doc: argument.doc,
            kind: argument.kind,
        };
        let operation = |operation: &admin::Operation| Operation {
            name: operation.name,
            doc: operation.doc,
            arguments: operation.arguments.iter().map(argument).collect(),
            answer: operation.answer,
        };
        let table: Vec<_> = admin::operations().map(operation).collect();
        serde_json::to_string(&table).expect("texts are always JSON")
    }
}

impl Answer for Answered {
    fn write(self, to: &mut Writer, batches: &mut Vec<Batch>) {
        match self {
            Self::Json(text) => {
                to.u8(0);
                to.text(&text);
            }
            Self::Messages(messages) => {
                to.u8(1);
                batches.push(Batch::of_messages(messages));
            }
            Self::Message(message) => {
                to.u8(2);
                batches.push(Batch::of_messages(vec![*message]));
            }
        }
    }
}

#[derive(Serialize)]
struct Operation {
    name: &'static str,
    doc: &'static str,
    arguments: Vec<Argument>,
    answer: &'static str,
}

#[derive(Serialize)]
struct Argument {
    name: &'static str,
    doc: &'static str,
    kind: &'static str,
}
