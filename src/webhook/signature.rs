//! Signatures of webhooks, as Standard Webhooks has them: HMAC-SHA256 over the call's key, its moment and its body.

use aws_lc_rs::hmac;
use base64::{Engine as _, prelude::BASE64_STANDARD};

/// What a key begins with that is written as base64.
const BASE64_KEY: &[u8] = b"whsec_";

/// The value of the header `webhook-signature`, or what is wrong with the key.
pub fn of(key: &[u8], id: &str, seconds: i64, body: &[u8]) -> Result<String, &'static str> {
    let key = match key.strip_prefix(BASE64_KEY) {
        Some(encoded) => BASE64_STANDARD
            .decode(encoded.trim_ascii())
            .map_err(|_| "the signing key begins with whsec_, and no base64 follows")?,
        None => key.to_vec(),
    };
    if key.is_empty() {
        return Err("the signing key is empty");
    }
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, &key));
    context.update(format!("{id}.{seconds}.").as_bytes());
    context.update(body);
    Ok(format!("v1,{}", BASE64_STANDARD.encode(context.sign())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_one_of_standard_webhooks() {
        // The example of the specification's own libraries.
        let signed = |key: &[u8]| {
            of(
                key,
                "msg_p5jXN8AQM9LWM0D4loKWxJek",
                1_614_265_330,
                br#"{"test": 2432232314}"#,
            )
        };
        let expected = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        assert_eq!(
            signed(b"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").as_deref(),
            Ok(expected)
        );
        let raw = BASE64_STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        assert_eq!(signed(&raw).as_deref(), Ok(expected));
        assert!(signed(b"whsec_%").is_err() && signed(b"").is_err());
    }
}
