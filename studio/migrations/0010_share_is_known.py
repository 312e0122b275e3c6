import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('studio', '0009_shares'),
    ]

    operations = [
        migrations.AlterField(
            model_name='renderjob',
            name='share',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='jobs', to='studio.share'),
        ),
    ]
