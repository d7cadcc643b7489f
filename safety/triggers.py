"""What the database itself refuses in safety's tables, and how it counts versions. Used by `models.py` alone.

Written as triggers because evidence has to hold against any writer: a shell, another service, a bug.
"""

import pgtrigger

SAMPLE_EVERY = 5  # the sampled classes look at every fifth frame, the first and the last

ANY_CHANGE = pgtrigger.Insert | pgtrigger.Update | pgtrigger.Delete | pgtrigger.Truncate


def counts_versions() -> pgtrigger.Trigger:
    """Every change of a row raises its `version`, whoever makes it: verdicts name what they rested on."""
    return pgtrigger.Trigger(
        name="counts_versions",
        when=pgtrigger.Before,
        operation=pgtrigger.Update,
        condition=pgtrigger.AnyChange(),
        func="NEW.version = OLD.version + 1; NEW.changed_at = clock_timestamp(); RETURN NEW;",
    )


def bumps_policy(name: str, called: str = "bumps_policy") -> pgtrigger.Trigger:
    """A statement that changes the table raises the policy's version: readers then load it anew.

    The one row per policy also puts concurrent writers in order, so a version never appears before a lower
    one.
    """
    return pgtrigger.Trigger(
        name=called,
        level=pgtrigger.Statement,
        when=pgtrigger.After,
        operation=ANY_CHANGE,
        func=f"""
            INSERT INTO safety_policyversion (name, version, changed_at) VALUES ('{name}', 1,
            clock_timestamp()) ON CONFLICT (name) DO UPDATE
            SET version = safety_policyversion.version + 1, changed_at = clock_timestamp();
            RETURN NULL;
        """,
    )


def finished_scans_are_kept() -> list[pgtrigger.Trigger]:
    """A scan may be finished once; after that, and for deletion at any time, the database refuses."""
    return [
        pgtrigger.Protect(
            name="finished_is_final",
            operation=pgtrigger.Update,
            condition=pgtrigger.Q(old__finished_at__isnull=False),
        ),
        pgtrigger.Protect(name="scans_are_kept", operation=pgtrigger.Delete),
        pgtrigger.Trigger(
            name="no_truncate",
            level=pgtrigger.Statement,
            when=pgtrigger.Before,
            operation=pgtrigger.Truncate,
            func="RAISE EXCEPTION 'scans are evidence: the table cannot be truncated';",
        ),
    ]


def a_pass_is_earned(sampled_classes: tuple[str, ...]) -> pgtrigger.Trigger:
    """`pass` needs a passing child-safety verdict on every frame, one per class on each sampled frame, no other.

    The counts are taken from the verdict rows themselves, not from what the scan says about them.
    """
    classes = ", ".join(f"('{name}')" for name in sampled_classes)
    return pgtrigger.Trigger(
        name="a_pass_is_earned",
        when=pgtrigger.Before,
        operation=pgtrigger.Insert | pgtrigger.Update,
        condition=pgtrigger.Q(new__verdict="pass"),
        declare=[("missing", "text")],
        func=f"""
            SELECT string_agg(wanted.frame_class || ' frame ' || wanted.frame_index, ', ') INTO missing
            FROM (
                SELECT 'child_safety' AS frame_class, i AS frame_index
                FROM generate_series(0, NEW.frames_total - 1) AS i
                UNION ALL
                SELECT sampled.name, i
                FROM generate_series(0, NEW.frames_total - 1) AS i, (VALUES {classes}) AS sampled (name)
                WHERE i % {SAMPLE_EVERY} = 0 OR i = NEW.frames_total - 1
            ) AS wanted
            WHERE NOT EXISTS (
                SELECT 1 FROM safety_verdict AS seen
                WHERE seen.scan_id = NEW.id AND seen.outcome = 'pass'
                AND seen.frame_class = wanted.frame_class AND seen.frame_index = wanted.frame_index
            );
            IF missing IS NOT NULL THEN
                RAISE EXCEPTION 'scan % cannot pass: no passing verdict for %', NEW.id, left(missing, 200)
                USING ERRCODE = 'check_violation';
            END IF;
            IF EXISTS (
                SELECT 1 FROM safety_verdict
                WHERE scan_id = NEW.id AND outcome NOT IN ('pass', 'unusable')
            ) THEN
                RAISE EXCEPTION 'scan % cannot pass: it has a verdict that is no pass', NEW.id
                USING ERRCODE = 'check_violation';
            END IF;
            RETURN NEW;
        """,
    )


def no_verdict_after_the_end() -> pgtrigger.Trigger:
    """A finished scan takes no further verdicts: its evidence is what it was decided on."""
    return pgtrigger.Trigger(
        name="no_verdict_after_the_end",
        level=pgtrigger.Statement,
        when=pgtrigger.After,
        operation=pgtrigger.Insert,
        referencing=pgtrigger.Referencing(new="added"),
        func="""
            IF EXISTS (
                SELECT 1 FROM added JOIN safety_scan ON safety_scan.id = added.scan_id
                WHERE safety_scan.finished_at IS NOT NULL
            ) THEN
                RAISE EXCEPTION 'the scan is finished: it takes no further verdicts'
                USING ERRCODE = 'check_violation';
            END IF;
            RETURN NULL;
        """,
    )


def golden_cases_only_grow() -> list[pgtrigger.Trigger]:
    """A golden case is never changed or deleted; once it may be retired, which child safety's cases may not."""
    retiring = "ARRAY['retired_at', 'retired_by', 'retired_reason']"
    return [
        pgtrigger.Trigger(
            name="only_retired",
            when=pgtrigger.Before,
            operation=pgtrigger.Update,
            func=f"""
                IF OLD.retired_at IS NOT NULL
                OR to_jsonb(NEW) - {retiring} IS DISTINCT FROM to_jsonb(OLD) - {retiring} THEN
                    RAISE EXCEPTION 'golden case % stands as it was written', OLD.id
                    USING ERRCODE = 'check_violation';
                END IF;
                IF OLD.category = 'child_safety' AND OLD.expected = 'must_block' THEN
                    RAISE EXCEPTION 'golden case % is of child safety: it is never retired', OLD.id
                    USING ERRCODE = 'check_violation';
                END IF;
                RETURN NEW;
            """,
        ),
        pgtrigger.Protect(name="golden_cases_are_kept", operation=pgtrigger.Delete),
        pgtrigger.Trigger(
            name="no_truncate",
            level=pgtrigger.Statement,
            when=pgtrigger.Before,
            operation=pgtrigger.Truncate,
            func="RAISE EXCEPTION 'golden sets only grow: the table cannot be truncated';",
        ),
    ]
