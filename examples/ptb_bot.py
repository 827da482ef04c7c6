"""An existing python-telegram-bot application that gains plans, quotas and orders. Needs TELEGRAM_BOT_TOKEN."""

import asyncio
import os

from telegram import Update
from telegram.ext import Application, CommandHandler, ContextTypes

from tradekit import Identity, Settings, Tradekit
from tradekit.chat.render import render


def application_for(tk: Tradekit, token: str) -> Application:  # type: ignore[type-arg]
    """The bot: /start registers, /plan, /buy and the others are answered by tradekit."""

    async def start(update: Update, context: ContextTypes.DEFAULT_TYPE) -> None:
        assert update.effective_user is not None
        assert update.message is not None
        account = await tk.users.register(Identity.of("telegram", update.effective_user.id))
        await update.message.reply_text(f"{account.tier.title}: {account.limits.daily_trades} trades a day")

    async def ask(update: Update, context: ContextTypes.DEFAULT_TYPE) -> None:
        assert update.effective_user is not None
        assert update.message is not None
        for reply in await tk.chat.handle(Identity.of("telegram", update.effective_user.id), update.message.text or ""):
            await update.message.reply_text(render(reply, "en").text)

    application = Application.builder().token(token).build()
    application.add_handler(CommandHandler("start", start))
    application.add_handler(CommandHandler(["plan", "usage", "portfolio", "positions", "buy", "sell", "close"], ask))
    return application


async def main() -> None:
    """Run the bot beside the service until interrupted."""
    async with Tradekit.open(Settings.load()) as tk:
        application = application_for(tk, os.environ["TELEGRAM_BOT_TOKEN"])
        assert application.updater is not None
        async with application:
            await application.start()
            await application.updater.start_polling()
            await tk.serve()
            await application.updater.stop()
            await application.stop()


if __name__ == "__main__":
    asyncio.run(main())
