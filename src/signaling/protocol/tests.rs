use super::*;

fn code(text: &str) -> ErrorCode {
    ClientMessage::parse(text).unwrap_err().code
}
