//! The insides of HyperLogLogs, for tests.

use super::{corrupt, hyperloglog, settle};
use crate::command::options::is;
use crate::commands::Context;
use crate::outcome::Outcome;
use crate::resp::{Args, CommandError, Reply};
use crate::value::hyperloglog::dense::{self, Registers};
use crate::value::hyperloglog::sparse::{Run, runs};
use crate::value::hyperloglog::{DENSE_BYTES, Draft, EMPTY, Encoding, Observation, REGISTERS, count, dense_of_nothing};

/// `PFDEBUG GETREG | DECODE | ENCODING | TODENSE key`, and `PFDEBUG SIMD ON | OFF`, which is accepted and does nothing:
/// the results are the same, and the choice is the processor's.
pub fn pfdebug(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    let word = args.get(1);
    if is(word, "SIMD") {
        let answer = match args.get(2) {
            on if is(on, "ON") => "enabled",
            off if is(off, "OFF") => "disabled",
            _ => return Err(CommandError::text("Argument must be ON or OFF")),
        };
        reply.simple(answer);
        return Ok(Outcome::unchanged());
    }
    let key = ctx.key(args, 2);
    let entry = ctx.find(&key).ok_or(CommandError::text("The specified key does not exist"))?;
    let (value, encoding) = hyperloglog(&entry)?;
    let is_sparse = encoding == Encoding::Sparse;
    match () {
        () if is(word, "GETREG") => {
            let mut registers = Registers::new();
            registers.merge(value, encoding).map_err(corrupt)?;
            make_dense(ctx, args)?;
            reply.array(REGISTERS);
            registers.iter().for_each(|register| reply.integer(register.into()));
            return Ok(Outcome::changed(is_sparse.into()));
        }
        () if is(word, "DECODE") => {
            if !is_sparse {
                return Err(CommandError::text("HLL encoding is not sparse"));
            }
            let texts: Vec<String> = runs(value).map(text).collect();
            reply.bulk(texts.join(" ").as_bytes());
        }
        () if is(word, "ENCODING") => reply.simple(encoding.name()),
        () if is(word, "TODENSE") => {
            make_dense(ctx, args)?;
            reply.integer(is_sparse.into());
            return Ok(Outcome::changed(is_sparse.into()));
        }
        () => {
            let word = String::from_utf8_lossy(word);
            return Err(CommandError::owned(format!("Unknown PFDEBUG subcommand '{word}'")));
        }
    }
    settle(ctx, &key);
    Ok(Outcome::unchanged())
}

fn text(run: Run) -> String {
    match run {
        Run { rank: 0, len, is_long: true } => format!("Z:{len}"),
        Run { rank: 0, len, .. } => format!("z:{len}"),
        Run { rank, len, .. } => format!("v:{rank},{len}"),
    }
}

/// Makes the value of the key dense, if it is sparse.
fn make_dense(ctx: &mut Context<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    let key = ctx.key(args, 2);
    let Some(entry) = ctx.find(&key) else { return Ok(()) };
    let (value, encoding) = hyperloglog(&entry)?;
    if encoding == Encoding::Sparse {
        let old_len = value.len();
        let mut draft = Draft::of(value, encoding);
        draft.make_dense().map_err(corrupt)?;
        ctx.database().splice_text(&key, 0..old_len, draft.bytes());
    }
    Ok(())
}

/// How often all registers are written and read.
const REGISTER_ROUNDS: usize = 20;

/// How many elements are estimated: enough to see errors of the estimator, and done in some hundredths of a second.
const ELEMENTS: u64 = 1_000_000;

/// `PFSELFTEST`
pub fn pfselftest(ctx: &mut Context<'_>, _args: &Args<'_>, reply: &mut Reply<'_>) -> Result<Outcome, CommandError> {
    test_registers(ctx)?;
    test_estimates(ctx)?;
    reply.ok();
    Ok(Outcome::unchanged())
}

/// Each register holds what is written to it, whatever its neighbours hold.
fn test_registers(ctx: &mut Context<'_>) -> Result<(), CommandError> {
    let mut value = dense_of_nothing();
    let mut expected = vec![0; REGISTERS];
    for _ in 0..REGISTER_ROUNDS {
        for (index, register) in expected.iter_mut().enumerate() {
            *register = ctx.shard.prng.below(64) as u8;
            dense::put(&mut value, index, *register);
        }
        for (index, register) in expected.iter().enumerate() {
            let found = dense::register(&value, index);
            if found != *register {
                return Err(failed(format!("Register {index} should be {register} but is {found}")));
            }
        }
    }
    debug_assert_eq!(value.len(), DENSE_BYTES);
    Ok(())
}

/// A sparse and a dense one agree, and their estimates are as good as they should be.
fn test_estimates(ctx: &mut Context<'_>) -> Result<(), CommandError> {
    let sparse_bytes = ctx.rules.limits.hll_sparse_bytes;
    let mut dense = Draft::of(&dense_of_nothing(), Encoding::Dense);
    let mut sparse = Draft::of(&EMPTY, Encoding::Sparse);
    let seed = ctx.shard.prng.next_u64();
    let error = 1.04 / (REGISTERS as f64).sqrt();
    let mut checkpoint = 1;
    for number in 1..=ELEMENTS {
        let seen = Observation::of(&(number ^ seed).to_le_bytes());
        dense.observe(seen, sparse_bytes).map_err(corrupt)?;
        sparse.observe(seen, sparse_bytes).map_err(corrupt)?;
        if number < checkpoint {
            continue;
        }
        if number < sparse_bytes as u64 / 2 && sparse.encoding() != Encoding::Sparse {
            return Err(failed("sparse encoding not used".into()));
        }
        let estimate = count(dense.bytes(), Encoding::Dense).map_err(corrupt)?;
        if count(sparse.bytes(), sparse.encoding()).map_err(corrupt)? != estimate {
            return Err(failed("dense/sparse disagree".into()));
        }
        // Of few elements two may meet in a register, which is more than the error says.
        let most = if number == 10 { 1 } else { (error * 6.0 * number as f64).ceil() as u64 };
        let difference = number.abs_diff(estimate);
        if difference > most {
            return Err(failed(format!("Too big error. card:{number} abserr:{difference}")));
        }
        checkpoint *= 10;
    }
    Ok(())
}

fn failed(what: String) -> CommandError {
    CommandError::owned(format!("TESTFAILED {what}"))
}
