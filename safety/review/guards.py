"""What the database itself refuses about review, whoever writes: used by records.py alone."""

import pgtrigger

from safety.triggers import SAMPLE_EVERY

SAMPLED = "('likeness'), ('intimate'), ('violence')"


def an_end_is_earned() -> pgtrigger.Trigger:
    """An item ends `passed` or `refused` only with the decisions that it takes, and an ended one stays so."""
    return pgtrigger.Trigger(
        name="an_end_is_earned",
        when=pgtrigger.Before,
        operation=pgtrigger.Update,
        condition=pgtrigger.AnyChange("state", "people", "review_class"),
        declare=[("wanted", "text")],
        func="""
            IF NEW.people < OLD.people OR OLD.review_class = 'child_safety' AND NEW.review_class <> 'child_safety' THEN
                RAISE EXCEPTION 'review item %: what it takes to decide it only rises', OLD.id
                USING ERRCODE = 'check_violation';
            END IF;
            IF NEW.state = OLD.state THEN
                RETURN NEW;
            END IF;
            IF OLD.state NOT IN ('open', 'escalated') OR OLD.state = 'escalated' AND NEW.state = 'open' THEN
                RAISE EXCEPTION 'review item %: % does not go to %', OLD.id, OLD.state, NEW.state
                USING ERRCODE = 'check_violation';
            END IF;
            wanted := CASE NEW.state WHEN 'passed' THEN 'pass' WHEN 'refused' THEN 'block' END;
            IF wanted IS NOT NULL AND NOT EXISTS (
                SELECT 1 FROM safety_reviewdecision WHERE item_id = NEW.id AND verdict = wanted
                HAVING count(DISTINCT person_id) >= NEW.people OR bool_or(escalated)
            ) THEN
                RAISE EXCEPTION 'review item % cannot be %: it lacks the decisions', NEW.id, NEW.state
                USING ERRCODE = 'check_violation';
            END IF;
            RETURN NEW;
        """,
    )


def a_decision_takes_a_claim() -> pgtrigger.Trigger:
    """A decision needs a waiting item, a live claim by the database's clock, the role and the permission."""
    return pgtrigger.Trigger(
        name="a_decision_takes_a_claim",
        when=pgtrigger.Before,
        operation=pgtrigger.Insert,
        declare=[("item", "safety_reviewitem")],
        func="""
            SELECT * INTO item FROM safety_reviewitem WHERE id = NEW.item_id FOR SHARE;
            IF item.state NOT IN ('open', 'escalated') THEN
                RAISE EXCEPTION 'review item % is decided', item.id USING ERRCODE = 'check_violation';
            END IF;
            IF NOT EXISTS (
                SELECT 1 FROM safety_reviewclaim c WHERE c.item_id = item.id AND c.person_id = NEW.person_id
                AND c.ended_at IS NULL AND c.lease_expires_at > clock_timestamp()
            ) THEN
                RAISE EXCEPTION 'review item % is not claimed by who decides', item.id
                USING ERRCODE = 'check_violation';
            END IF;
            NEW.escalated := item.state = 'escalated';
            IF NOT EXISTS (
                SELECT 1 FROM safety_reviewer r
                JOIN accounts_staffrole s ON s.user_id = NEW.person_id AND s.role = 'trust_safety'
                WHERE r.review_class = item.review_class AND r.withdrawn_at IS NULL
                AND (r.person_id = NEW.person_id OR r.person_id IS NULL)
                AND (r.decides_escalated OR NOT NEW.escalated)
            ) THEN
                RAISE EXCEPTION 'review item %: this person may not decide %', item.id, item.review_class
                USING ERRCODE = 'check_violation';
            END IF;
            RETURN NEW;
        """,
    )


def a_clearance_is_earned() -> pgtrigger.Trigger:
    """People let a file out only where the gates left it to them: child safety passed every frame, nothing blocked.

    The frames are counted from the verdict rows themselves, as for a passed scan.
    """
    return pgtrigger.Trigger(
        name="a_clearance_is_earned",
        when=pgtrigger.Before,
        operation=pgtrigger.Insert,
        declare=[("scan", "safety_scan"), ("item", "safety_reviewitem"), ("missing", "text")],
        func=f"""
            SELECT * INTO scan FROM safety_scan WHERE id = NEW.scan_id;
            SELECT * INTO item FROM safety_reviewitem WHERE id = NEW.item_id;
            IF item.kind <> 'scan' OR item.state <> 'passed' OR item.scan_id IS DISTINCT FROM NEW.scan_id THEN
                RAISE EXCEPTION 'review item % did not pass this scan', NEW.item_id
                USING ERRCODE = 'check_violation';
            END IF;
            IF scan.verdict IS DISTINCT FROM 'review' OR scan.purpose <> 'final' OR scan.frames_total IS NULL
               OR (scan.subject, scan.fence, scan.digest) IS DISTINCT FROM (NEW.subject, NEW.fence, NEW.digest)
               OR (item.subject, item.fence, item.digest) IS DISTINCT FROM (NEW.subject, NEW.fence, NEW.digest)
            THEN
                RAISE EXCEPTION 'scan % left no such file to people', NEW.scan_id USING ERRCODE = 'check_violation';
            END IF;
            SELECT string_agg(wanted.name || ' frame ' || wanted.i, ', ') INTO missing
            FROM (
                SELECT 'child_safety' AS name, i FROM generate_series(0, scan.frames_total - 1) AS i
                UNION ALL
                SELECT sampled.name, i
                FROM generate_series(0, scan.frames_total - 1) AS i, (VALUES {SAMPLED}) AS sampled (name)
                WHERE i % {SAMPLE_EVERY} = 0 OR i = scan.frames_total - 1
            ) AS wanted
            WHERE NOT EXISTS (
                SELECT 1 FROM safety_verdict v
                WHERE v.scan_id = scan.id AND v.frame_class = wanted.name AND v.frame_index = wanted.i
                AND (v.outcome = 'pass' OR v.outcome = 'review' AND wanted.name <> 'child_safety')
            );
            IF missing IS NOT NULL THEN
                RAISE EXCEPTION 'scan % cannot be cleared: no verdict for %', scan.id, left(missing, 200)
                USING ERRCODE = 'check_violation';
            END IF;
            IF EXISTS (
                SELECT 1 FROM safety_verdict v WHERE v.scan_id = scan.id
                AND (v.outcome NOT IN ('pass', 'unusable', 'review')
                     OR v.frame_class = 'child_safety' AND v.outcome = 'review')
            ) THEN
                RAISE EXCEPTION 'scan % cannot be cleared: people do not overrule a block', scan.id
                USING ERRCODE = 'check_violation';
            END IF;
            RETURN NEW;
        """,
    )


def no_clear_frame_of_child_safety() -> pgtrigger.Trigger:
    """Nobody is shown clear frames of child safety, nor of a class whose policy says no, nor without a claim."""
    return pgtrigger.Trigger(
        name="no_clear_frame_of_child_safety",
        when=pgtrigger.Before,
        operation=pgtrigger.Insert,
        func="""
            IF NOT EXISTS (
                SELECT 1 FROM safety_reviewitem i
                JOIN safety_reviewpolicy p ON p.review_class = i.review_class AND p.reveal
                JOIN safety_reviewclaim c ON c.item_id = i.id AND c.person_id = NEW.person_id
                 AND c.ended_at IS NULL AND c.lease_expires_at > clock_timestamp()
                WHERE i.id = NEW.item_id AND i.review_class <> 'child_safety'
            ) THEN
                RAISE EXCEPTION 'review item %: no clear frames for this person', NEW.item_id
                USING ERRCODE = 'check_violation';
            END IF;
            RETURN NEW;
        """,
    )
