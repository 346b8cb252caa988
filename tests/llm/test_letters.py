"""Calls of an actor in letters: few messages, and a call that waits holds up no other."""

import asyncio

import pytest

from tikval.llm.letters import Answered, Answering, Asked, Letters


class Actor(Answering):
    """An actor without Ray."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.messages = 0

    async def double(self, number: int) -> int:
        return 2 * number

    async def wait(self) -> str:
        await self.go.wait()
        return "went"

    async def free(self) -> None:
        self.go.set()

    async def fail(self) -> None:
        raise ValueError("no such row")

    async def sent(self, sender: str, asked: list[Asked]) -> list[Answered]:
        self.messages += 1
        return await self.letter(sender, asked)


def test_calls_of_a_moment_go_in_one_letter() -> None:
    async def main() -> None:
        actor = Actor()
        letters = Letters(actor.sent)
        doubled = await asyncio.gather(*(letters.ask("double", number) for number in range(100)))
        assert doubled == [2 * number for number in range(100)]
        assert actor.messages <= 3

    asyncio.run(main())


def test_a_call_that_waits_holds_up_no_other() -> None:
    """What it waits for may be asked for in the same letter, and in a later one."""

    async def main() -> None:
        actor = Actor()
        letters, others = Letters(actor.sent), Letters(actor.sent)
        waiting = asyncio.create_task(letters.ask("wait"))
        async with asyncio.timeout(5):
            assert await letters.ask("double", 1) == 2
            assert await others.ask("double", 3) == 6
            await asyncio.sleep(0.05)
            assert await letters.ask("double", 2) == 4
            assert not waiting.done()
            await asyncio.gather(letters.ask("free"), waiting)
            assert waiting.result() == "went"

    asyncio.run(main())


def test_a_call_that_fails_fails_alone() -> None:
    async def main() -> None:
        letters = Letters(Actor().sent)
        results = await asyncio.gather(letters.ask("fail"), letters.ask("double", 1), return_exceptions=True)
        assert isinstance(results[0], ValueError)
        assert results[1] == 2

    asyncio.run(main())


def test_who_waits_hears_that_the_actor_is_gone() -> None:
    async def main() -> None:
        actor = Actor()

        async def gone(sender: str, asked: list[Asked]) -> list[Answered]:
            if actor.messages:
                raise ConnectionError("the actor is gone")
            return await actor.sent(sender, asked)

        letters = Letters(gone)
        waiting = asyncio.create_task(letters.ask("wait"))
        await asyncio.sleep(0.05)
        async with asyncio.timeout(5):
            with pytest.raises(ConnectionError):
                await letters.ask("double", 1)
            with pytest.raises(ConnectionError):
                await waiting

    asyncio.run(main())


def test_whoever_waits_no_more_is_left_out() -> None:
    async def main() -> None:
        letters = Letters(Actor().sent)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(letters.ask("wait"), 0.05)
        async with asyncio.timeout(5):
            await letters.ask("free")
            assert await letters.ask("double", 4) == 8

    asyncio.run(main())
