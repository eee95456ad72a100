//! The commands for sorted sets, as text, on both forms.
#![allow(clippy::unwrap_used)]
use crate::commands::harness::Bench;
use crate::resp::Protocol;

/// Both forms: a bench whose sorted sets are packed, and one whose are never.
fn benches() -> [Bench; 2] {
    let large = || {
        let mut bench = Bench::new();
        bench.rules.limits.zset_entries = 0;
        bench
    };
    [Bench::new(), large()]
}

fn check_both(lines: &[(&str, &str)]) {
    for mut bench in benches() {
        bench.check(lines);
        bench.shard.check();
    }
}

#[test]
fn members_are_added_as_the_options_say() {
    check_both(&[
        ("zadd z 1 a 2 b 3 c", ":3"),
        ("zadd z 1 a 5 b 4 d", ":1"),
        ("zadd z ch 1 a 6 b 5 e", ":2"),
        ("zadd z nx 9 a 9 f", ":1"),
        ("zadd z xx ch 8 a 9 g", ":1"),
        ("zadd z gt ch 7 a 9 f 10 f 1 h", ":2"),
        ("zadd z xx lt ch 9 a 3 a 9 i", ":1"),
        ("zrange z 0 -1 withscores", "*14 'h' '1' 'a' '3' 'c' '3' 'd' '4' 'e' '5' 'b' '6' 'f' '10'"),
        ("zadd z incr 1.5 a", "'4.5'"),
        ("zadd z nx incr 1.5 a", "$-1"),
        ("zadd z xx incr 1.5 zz", "$-1"),
        ("zadd z gt incr -1 a", "$-1"),
        ("zadd z incr 2 n", "'2'"),
        ("zincrby z -0.5 n", "'1.5'"),
        ("zadd none xx 1 a", ":0"),
        ("exists none", ":0"),
        ("zadd z inf a", ":0"),
        ("zincrby z -inf a", "ERR resulting score is not a number (NaN)"),
        ("zscore z a", "'inf'"),
        ("zadd z 1 a x b", "ERR value is not a valid float"),
        ("zadd z nan b", "ERR value is not a valid float"),
        ("zadd z 1 a 2", "ERR syntax error"),
        ("zadd z nx xx 1 a", "ERR XX and NX options at the same time are not compatible"),
        ("zadd z nx gt 1 a", "ERR GT, LT, and/or NX options at the same time are not compatible"),
        ("zadd z gt lt 1 a", "ERR GT, LT, and/or NX options at the same time are not compatible"),
        ("zadd z incr 1 a 2 b", "ERR INCR option supports a single increment-element pair"),
        ("set s 1", "+OK"),
        ("zadd s 1 a", "WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("zadd s x a", "ERR value is not a valid float"),
        ("zcard z", ":8"),
        ("zrem z a b zz b", ":2"),
        ("zrem none a", ":0"),
        ("zmscore z a h n", "*3 $-1 '1' '1.5'"),
    ]);
}

#[test]
fn ranks_and_counts() {
    check_both(&[
        ("zadd z 1 a 2 b 2 c 3 d 5 e", ":5"),
        ("zrank z a", ":0"),
        ("zrank z e withscore", "*2 :4 '5'"),
        ("zrevrank z e", ":0"),
        ("zrevrank z b withscore", "*2 :3 '2'"),
        ("zrank z x", "$-1"),
        ("zrank z x withscore", "*-1"),
        ("zrank z x foo", "ERR syntax error"),
        ("zrank z x withscore 1", "ERR wrong number of arguments for 'zrank' command"),
        ("zcount z 2 3", ":3"),
        ("zcount z (2 3", ":1"),
        ("zcount z (2 (3", ":0"),
        ("zcount z -inf +inf", ":5"),
        ("zcount z 5 1", ":0"),
        ("zcount z '' 1", ":1"),
        ("zcount z x 1", "ERR min or max is not a float"),
        ("zcount z (nan 1", "ERR min or max is not a float"),
        ("zcount none 1 2", ":0"),
        ("zadd l 0 a 0 b 0 bb 0 c", ":4"),
        ("zlexcount l - +", ":4"),
        ("zlexcount l [b (c", ":2"),
        ("zlexcount l (b +", ":2"),
        ("zlexcount l + -", ":0"),
        ("zlexcount l [ (", ":0"),
        ("zlexcount l [ +", ":4"),
        ("zlexcount l b c", "ERR min or max not valid string range item"),
    ]);
}

#[test]
fn ranges() {
    check_both(&[
        ("zadd z 1 a 2 b 3 c 4 d", ":4"),
        ("zrange z 0 -1", "*4 'a' 'b' 'c' 'd'"),
        ("zrange z -2 9", "*2 'c' 'd'"),
        ("zrange z 1 2 rev", "*2 'c' 'b'"),
        ("zrevrange z 0 0 withscores", "*2 'd' '4'"),
        ("zrange z 3 1", "*0"),
        ("zrange z -9223372036854775808 9223372036854775807", "*4 'a' 'b' 'c' 'd'"),
        ("zrange z 9223372036854775807 -9223372036854775808", "*0"),
        ("zrange z (1 3 byscore", "*2 'b' 'c'"),
        ("zrange z 3 (1 byscore rev withscores", "*4 'c' '3' 'b' '2'"),
        ("zrangebyscore z -inf +inf limit 1 2", "*2 'b' 'c'"),
        ("zrevrangebyscore z +inf -inf limit 1 2", "*2 'c' 'b'"),
        ("zrangebyscore z 1 4 limit 9 1", "*0"),
        ("zrangebyscore z 1 4 limit 1 -5", "*3 'b' 'c' 'd'"),
        ("zrangebyscore z 1 4 limit 1 0", "*0"),
        ("zrangebyscore z 4 1", "*0"),
        (
            "zrange z 0 1 limit 0 1",
            "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX",
        ),
        ("zrange z 0 1 limit 5 -1", "*2 'a' 'b'"),
        ("zrange z [a [b bylex withscores", "ERR syntax error, WITHSCORES not supported in combination with BYLEX"),
        ("zrange z 0 1 byscore bylex", "ERR syntax error"),
        ("zrange z 0 1 limit 0", "ERR syntax error"),
        ("zrevrange z 0 1 rev", "ERR syntax error"),
        ("zrange z a 1", "ERR value is not an integer or out of range"),
        ("zadd l 0 a 0 b 0 c 0 d", ":4"),
        ("zrangebylex l [b +", "*3 'b' 'c' 'd'"),
        ("zrangebylex l - (c limit 1 5", "*1 'b'"),
        ("zrevrangebylex l (d [b", "*2 'c' 'b'"),
        ("zrange l (d [b bylex rev limit 1 1", "*1 'b'"),
        ("zrangestore dst z +inf (1 byscore rev limit 0 2", ":2"),
        ("zrange dst 0 -1 withscores", "*4 'c' '3' 'd' '4'"),
        ("zrangestore z z 1 2", ":2"),
        ("zrange z 0 -1 withscores", "*4 'b' '2' 'c' '3'"),
        ("set s 1", "+OK"),
        ("zrangestore s z 0 0", ":1"),
        ("type s", "+zset"),
        ("zrangestore s none 0 0", ":0"),
        ("exists s", ":0"),
        ("zrangestore s z 0 0 withscores", "ERR syntax error"),
    ]);
    // Valkey tells the two forms apart here.
    let [mut packed, mut large] = benches();
    for (bench, found) in [(&mut packed, "*0"), (&mut large, "*2 'b' 'c'")] {
        bench.check(&[("zadd z 1 a 2 b 3 c", ":3"), ("zrangebyscore z 1 3 limit -2 5", found)]);
        bench.check(&[("zrangebyscore z 1 3 limit -4 5", "*0")]);
    }
}

#[test]
fn removals() {
    check_both(&[
        ("zadd z 1 a 2 b 3 c 4 d 5 e 6 f", ":6"),
        ("zremrangebyrank z 1 1", ":1"),
        ("zremrangebyscore z (3 4", ":1"),
        ("zremrangebyscore z 9 8", ":0"),
        ("zrange z 0 -1", "*4 'a' 'c' 'e' 'f'"),
        ("zremrangebylex z [e [f", ":2"),
        ("zremrangebyrank z 5 9", ":0"),
        ("zremrangebyrank z 0 -1", ":2"),
        ("exists z", ":0"),
        ("zremrangebyrank none 0 -1", ":0"),
        ("zremrangebyrank none x -1", "ERR value is not an integer or out of range"),
        ("zadd z 1 a 2 b 3 c 4 d", ":4"),
        ("zpopmin z", "*2 'a' '1'"),
        ("zpopmax z 2", "*4 'd' '4' 'c' '3'"),
        ("zpopmax z 0", "*0"),
        ("zpopmax z -1", "ERR value is out of range, must be positive"),
        ("zpopmin z 9", "*2 'b' '2'"),
        ("exists z", ":0"),
        ("zpopmin z", "*0"),
        ("zadd y 1 a 2 b", ":2"),
        ("zmpop 2 z y max", "*2 'y' *1 *2 'b' '2'"),
        ("zmpop 2 z y min count 5", "*2 'y' *1 *2 'a' '1'"),
        ("zmpop 2 z y min", "*-1"),
        ("zmpop 0 z min", "ERR numkeys should be greater than 0"),
        ("zmpop 9223372036854775807 z min", "ERR syntax error"),
        ("zmpop 1 z min count 0", "ERR count should be greater than 0"),
        ("zmpop 1 z min count 1 count 1", "ERR syntax error"),
        ("zmpop 1 z low", "ERR syntax error"),
    ]);
}

#[test]
fn sets_are_combined() {
    check_both(&[
        ("zadd a 1 x 2 y 3 z", ":3"),
        ("zadd b 10 y 20 z 30 w", ":3"),
        ("zunion 2 a b withscores", "*8 'x' '1' 'y' '12' 'z' '23' 'w' '30'"),
        ("zinter 2 a b withscores", "*4 'y' '12' 'z' '23'"),
        ("zinter 2 a none", "*0"),
        ("zdiff 2 a b withscores", "*2 'x' '1'"),
        ("zdiff 1 a", "*3 'x' 'y' 'z'"),
        ("zdiff 2 a a", "*0"),
        ("zintercard 2 a b", ":2"),
        ("zintercard 2 a b limit 1", ":1"),
        ("zintercard 2 a b limit 0", ":2"),
        ("zintercard 2 a b limit -1", "ERR LIMIT can't be negative"),
        ("zunionstore d 2 a b weights 1 inf", ":4"),
        ("zrange d 0 -1 withscores", "*8 'x' '1' 'w' 'inf' 'y' 'inf' 'z' 'inf'"),
        ("zunionstore d 2 d d weights 1 -inf", ":4"),
        ("zrange d 0 -1 withscores", "*8 'x' '-inf' 'w' '0' 'y' '0' 'z' '0'"),
        ("zinterstore a 2 a b", ":2"),
        ("zrange a 0 -1", "*2 'y' 'z'"),
        ("zdiffstore a 2 a b", ":0"),
        ("exists a", ":0"),
        ("zinter 0 a", "ERR at least 1 input key is needed for 'zinter' command"),
        ("zunionstore d 2 a", "ERR syntax error"),
        ("zunionstore d 9223372036854775807 a", "ERR syntax error"),
        ("zunion 1 b weights x", "ERR weight value is not a float"),
        ("zunion 1 b weights", "ERR syntax error"),
        ("zunion 1 b aggregate avg", "ERR syntax error"),
        ("zdiff 1 b weights 1", "ERR syntax error"),
        ("zunionstore d 1 b withscores", "ERR syntax error"),
        ("set t 1", "+OK"),
        ("zunion 2 b t foo", "WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("zunionstore t 1 b", ":3"),
        ("type t", "+zset"),
    ]);
}

#[test]
fn sets_count_as_scores_of_one() {
    check_both(&[
        ("zadd a 1 x 2 y 3 z", ":3"),
        ("zadd b 10 y 20 z 30 w", ":3"),
        ("sadd s x y 7", ":3"),
        ("sadd i 7 8 9", ":3"),
        ("zunion 3 a b s weights 2 1 0.5 aggregate max withscores", "*10 '7' '0.5' 'x' '2' 'y' '10' 'z' '20' 'w' '30'"),
        ("zinter 2 a s aggregate min withscores", "*4 'x' '1' 'y' '1'"),
        ("zinter 2 s i withscores", "*2 '7' '2'"),
        ("zdiff 2 i s withscores", "*4 '8' '1' '9' '1'"),
        ("zunionstore d 2 s i", ":5"),
        ("zrange d 0 -1 withscores", "*10 '8' '1' '9' '1' 'x' '1' 'y' '1' '7' '2'"),
    ]);
}

#[test]
fn pairs_are_nested_in_resp3() {
    let mut bench = Bench::new();
    bench.protocol = Protocol::Resp3;
    bench.check(&[
        ("zadd z 1.5 a 2 b", ":2"),
        ("zrange z 0 -1 withscores", "*2 *2 'a' ,1.5 *2 'b' ,2"),
        ("zunion 1 z withscores", "*2 *2 'a' ,1.5 *2 'b' ,2"),
        ("zrandmember z 9 withscores", "*2 *2 'a' ,1.5 *2 'b' ,2"),
        ("zscan z 0", "*2 '0' *4 'a' '1.5' 'b' '2'"),
        ("zscore z a", ",1.5"),
        ("zmscore z a x", "*2 ,1.5 _"),
        ("zrank z b withscore", "*2 :1 ,2"),
        ("zrank z x withscore", "_"),
        ("zadd z incr 1 a", ",2.5"),
        ("zpopmin z 1", "*1 *2 'b' ,2"),
        ("zpopmin z", "*2 'a' ,2.5"),
        ("zmpop 1 z min", "_"),
    ]);
}

#[test]
fn the_form_changes_where_valkey_changes_it() {
    let mut bench = Bench::new();
    bench.rules.limits.zset_entries = 3;
    bench.rules.limits.zset_value_bytes = 4;
    bench.check(&[
        ("zadd z 1 a 1 b 1 c", ":3"),
        ("object encoding z", "'listpack'"),
        ("zadd z 1 a", ":0"),
        ("object encoding z", "'listpack'"),
        ("zadd z 1 d", ":1"),
        ("object encoding z", "'skiplist'"),
        ("zrem z a b c", ":3"),
        ("object encoding z", "'skiplist'"),
        // As many as that count before it is known that they are the same.
        ("zadd y 1 a 1 a 1 a 1 a", ":1"),
        ("object encoding y", "'skiplist'"),
        ("zadd x 1 a", ":1"),
        ("zadd x xx 1 long5", ":0"),
        ("object encoding x", "'skiplist'"),
        ("zadd w 1 four", ":1"),
        ("zincrby w 1 long5", "'1'"),
        ("object encoding w", "'skiplist'"),
        ("zunionstore u 1 w", ":2"),
        ("object encoding u", "'skiplist'"),
        ("zrangestore u w 0 0", ":1"),
        ("object encoding u", "'listpack'"),
        ("zrangestore u w 1 1", ":1"),
        ("object encoding u", "'skiplist'"),
        ("zinterstore u 2 y y", ":1"),
        ("object encoding u", "'listpack'"),
    ]);
}

#[test]
fn the_journal_takes_what_valkey_sends() {
    Bench::new().check_journal(&[
        ("zadd z 1 a 2 b 3 c", "3 as given"),
        ("zadd z 1 a", "0"),
        ("zadd z incr 1 a", "1 as given"),
        ("zincrby z 0 a", "0"),
        ("zrem z a", "1 as given"),
        ("zpopmin z 9", "2 as given"),
        ("zadd z 1 a 2 b 3 c", "3 as given"),
        ("zmpop 2 none z max count 2", "2 ZPOPMAX z 2"),
        ("zunionstore d 1 z", "1 as given"),
        ("zunionstore d 1 none", "1 as given"),
        ("zunionstore d 1 none", "0"),
        ("zremrangebyscore z 0 9", "1 as given"),
        ("zremrangebyscore z 0 9", "0"),
    ]);
}

#[test]
fn random_members() {
    for mut bench in benches() {
        bench.check(&[
            ("zrandmember z", "$-1"),
            ("zrandmember z 5", "*0"),
            ("zadd z 1 a 2 b 3 c 4 d", ":4"),
            ("zrandmember z 0", "*0"),
            ("zrandmember z 9", "*4 'a' 'b' 'c' 'd'"),
            ("zrandmember z x", "ERR value is not an integer or out of range"),
            ("zrandmember z 1 foo", "ERR syntax error"),
            ("zrandmember z -9223372036854775807", "ERR value is out of range"),
            ("zrandmember z -4611686018427387904 withscores", "ERR value is out of range"),
            (
                "zrandmember z -9223372036854775808",
                "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807",
            ),
        ]);
        let mut seen = [0; 4];
        for round in 0..4000 {
            let line = ["zrandmember z", "zrandmember z 2", "zrandmember z -3"][round % 3];
            let reply = bench.run(line);
            let names: Vec<_> = reply.split('\'').skip(1).step_by(2).collect();
            assert_eq!(names.len(), [1, 2, 3][round % 3], "{reply}");
            assert!(round % 3 != 1 || names[0] != names[1], "none twice: {reply}");
            names.iter().for_each(|name| seen[usize::from(name.as_bytes()[0] - b'a')] += 1);
        }
        assert!(seen.iter().all(|count| (1800..2200).contains(count)), "{seen:?}");
    }
}

#[test]
fn a_scan_gives_every_member() {
    let mut bench = Bench::new();
    for number in 0..3000 {
        bench.run(&format!("zadd z {number} m{number}"));
    }
    let (mut cursor, mut seen) = ("0".to_owned(), std::collections::BTreeSet::new());
    loop {
        let reply = bench.run(&format!("zscan z {cursor} count 50"));
        let mut words =
            reply.split(' ').filter_map(|word| word.strip_prefix('\'')).map(|word| word.trim_end_matches('\''));
        cursor = words.next().unwrap().to_owned();
        while let (Some(member), Some(score)) = (words.next(), words.next()) {
            assert_eq!(member, format!("m{score}"));
            seen.insert(member.to_owned());
        }
        if cursor == "0" {
            break;
        }
    }
    assert_eq!(seen.len(), 3000);
    bench.check(&[
        ("zscan z 0 match m7 count 9999", "*2 '0' *2 'm7' '7'"),
        ("zscan z 0 match m7 count 9999 noscores", "*2 '0' *1 'm7'"),
        ("zscan none 0 count 0", "*2 '0' *0"),
        ("zscan z 0 count 0", "ERR syntax error"),
        ("zscan z 0 novalues", "ERR NOVALUES option can only be used in HSCAN"),
        ("zscan z x", "ERR invalid cursor"),
    ]);
}
