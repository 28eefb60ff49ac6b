//! What JavaScript is told of an error: JSON, of which `lib/errors.ts` makes a `FerroMQError`.

use ferromq_bindings::Fault;
use ferromq_client::Remedy;
use napi::Status;
use serde::Serialize;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Told<'a> {
    code: &'static str,
    message: &'a str,
    remedy: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    server_code: Option<i32>,
}

/// What JavaScript is told, its receipts left out.
pub(crate) fn told(fault: &Fault) -> String {
    let told = Told {
        code: fault.kind.code(),
        message: &fault.text,
        remedy: match fault.remedy {
            Remedy::Retry => "retry",
            Remedy::FixCall => "fix_call",
            Remedy::AskOperator => "ask_operator",
        },
        server_code: fault.code,
    };
    serde_json::to_string(&told).expect("texts and numbers are always JSON")
}

/// To be thrown at once.
pub(crate) fn thrown(fault: impl Into<Fault>) -> napi::Error {
    napi::Error::new(Status::GenericFailure, told(&fault.into()))
}
